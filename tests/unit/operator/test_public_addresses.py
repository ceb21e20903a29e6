import pytest

from fairlead_operator.observe.http import may_be_public
from fairlead_operator.reconcile.default_endpoint import on_default_origin
from tests.unit.operator.states import SETTINGS


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.1", "0.0.0.0", "169.254.169.254", "224.0.0.1"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "name"),
    ],
)
def test_no_endpoint_is_at_an_address_of_this_machine_or_link(address: str) -> None:
    assert not may_be_public(address)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.96.0.10", "2001:db8::1", "::ffff:192.0.2.1"])
def test_public_and_private_addresses_are_asked(address: str) -> None:
    assert may_be_public(address)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://mcp.example.com/a/b/mcp", True),
        ("https://mcp.example.com:443/mcp", True),
        ("https://mcp.example.com:8443/mcp", False),
        ("http://edge.example.com:8080/mcp", True),
        ("http://edge.example.com/mcp", False),
        ("http://other.example.com/mcp", False),
    ],
)
def test_the_default_origin_is_known_by_scheme_host_and_port(url: str, *, expected: bool) -> None:
    settings = SETTINGS.model_copy(update={"endpoint_url_prefix": "http://edge.example.com:8080"})
    assert on_default_origin(url, settings) is expected


def test_without_a_default_endpoint_no_url_is_at_it() -> None:
    assert not on_default_origin("http://mcp.example.com/mcp", SETTINGS.model_copy(update={"endpoint_host": ""}))
