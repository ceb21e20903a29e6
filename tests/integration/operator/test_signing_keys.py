"""The keys of JWTs when two operators are at work for a moment, as when a Lease passes from one to the other."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import ApiClient, Configuration

from fairlead_operator.cluster.client import Api
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.credentials.signing_keys import SigningKeys
from tests.integration.operator.control_plane import OPERATOR_NAMESPACE, ControlPlane

KEYS = "fairlead-jwt-keys"


@pytest.fixture
async def pair(plane: ControlPlane) -> AsyncIterator[tuple[SigningKeys, SigningKeys]]:
    """Two that know nothing yet, and no keys."""
    plane.kubectl("-n", OPERATOR_NAMESPACE, "delete", "secret", KEYS, "--ignore-not-found")
    configuration = Configuration()
    await kube_config.load_kube_config(str(plane.operator), client_configuration=configuration)  # type: ignore[no-untyped-call]  # the library has no types here
    api = Api(ApiClient(configuration=configuration))
    first, second = (SigningKeys(Objects(api), OPERATOR_NAMESPACE, lambda: None) for _ in range(2))
    yield first, second
    await api.close()


async def test_both_have_the_same_keys_whoever_made_them(pair: tuple[SigningKeys, SigningKeys]) -> None:
    one, other = await asyncio.gather(*(keys.obtain() for keys in pair))
    assert one == other
    assert len(one.keys) == 1


async def test_a_request_makes_one_key_and_the_slower_one_takes_it_over(
    plane: ControlPlane, pair: tuple[SigningKeys, SigningKeys]
) -> None:
    before = await pair[0].obtain()
    plane.kubectl("-n", OPERATOR_NAMESPACE, "annotate", "secret", KEYS, "fairlead.dev/rotate=1")
    await asyncio.gather(*(keys.tend(None) for keys in pair))
    for keys in pair:
        await keys.tend(None)
    one, other = [await keys.obtain() for keys in pair]
    assert one == other
    assert one.keys[1:] == before.keys
    assert pair[0].public() == pair[1].public()
