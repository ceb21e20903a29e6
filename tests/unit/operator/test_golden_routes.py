"""For each `endpoint.yaml` below golden/: the Ingress or HTTPRoute made of it, and where the endpoint then is."""

from typing import Any

import pytest

from fairlead_operator.reconcile.endpoint import resolve_endpoint
from fairlead_operator.reconcile.objects import read_host
from fairlead_operator.reconcile.routing import route_manifest
from fairlead_operator.settings import Settings
from tests.unit.operator.golden_files import Golden, cases, load
from tests.unit.operator.states import body


@pytest.mark.parametrize("case", cases("endpoint"))
def test_an_endpoint_becomes_what_the_golden_files_say(case: str, golden: Golden) -> None:
    base = {"namespace": "fairlead-system", "sidecar_image": "registry.example.com/fairlead/sidecar:1.0.0"}
    settings = Settings(**base | (load(case, "settings") or {}))
    wish = load(case, "endpoint")
    host = read_host(body(**({"endpoint": wish} if wish else {})))
    assert host.spec is not None, host.invalid
    endpoint = resolve_endpoint(host.key, host.spec, settings)
    route = route_manifest(host, host.spec, endpoint, taken=False)
    for kind in ("Ingress", "HTTPRoute"):
        golden.check(case, kind.lower(), route if route is not None and route["kind"] == kind else None)
    place: dict[str, Any] = {"url": endpoint.url, "path": endpoint.path}
    if endpoint.refusal is not None:
        place["refusal"] = {"reason": str(endpoint.refusal.reason), "message": endpoint.refusal.message}
    golden.check(case, "place", place)
