import asyncio
from typing import Any

import pytest
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import ApiClient, Configuration

from fairlead_operator.cluster.applier import Applier, Claimant
from fairlead_operator.cluster.client import Api
from fairlead_operator.cluster.errors import ApiError
from fairlead_operator.cluster.metadata import MetadataCache
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import SERVICES
from fairlead_operator.reconcile.labels import HOST_LABEL, MANAGED_SELECTOR
from fairlead_operator.reconcile.objects import read_host
from fairlead_operator.reconcile.service import service
from tests.integration.operator.manifests import host
from tests.integration.operator.running import Cluster


async def test_an_object_that_took_the_name_after_the_last_look_is_left_alone(cluster: Cluster) -> None:
    cluster.plane.apply(host(cluster.namespace))
    owner = read_host(cluster.found("remotehost", "web-01"))
    claimant = Claimant("RemoteHost", "web-01", owner.uid, HOST_LABEL)
    configuration = Configuration()
    await kube_config.load_kube_config(str(cluster.plane.operator), client_configuration=configuration)  # type: ignore[no-untyped-call]  # the library has no types here
    api = Api(ApiClient(configuration=configuration))
    try:
        cache = MetadataCache(api, SERVICES, [cluster.namespace], MANAGED_SELECTOR, lambda meta: None)
        applier = Applier(Objects(api), {SERVICES: cache})
        await applier.apply(service(owner), claimant)
        watching = asyncio.create_task(cache.run())
        await cache.wait_synced()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        cluster.plane.kubectl("-n", cluster.namespace, "delete", "service", "rh-web-01")
        cluster.plane.apply(_foreign(cluster.namespace))
        changed = service(owner)
        changed["metadata"]["labels"]["example.com/changed"] = "true"
        with pytest.raises(ApiError):
            await applier.apply(changed, claimant)
    finally:
        await api.close()
    assert "ownerReferences" not in cluster.found("service", "rh-web-01")["metadata"]


def _foreign(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "rh-web-01", "namespace": namespace},
        "spec": {"ports": [{"name": "web", "port": 80}]},
    }
