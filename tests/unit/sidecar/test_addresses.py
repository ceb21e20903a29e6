"""From a connection and its headers to the client's address."""

import pytest

from fairlead_sidecar.access.addresses import MOST_PROXIES, Networks, client_address, parse

PROXIES = Networks(["10.0.0.0/8", "fd00::/8"])
PROXY, CLIENT = "10.0.0.1", "198.51.100.7"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:443", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
    ],
)
def test_an_address_is_read_as_proxies_write_it(text: str, address: str) -> None:
    assert str(parse(text)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.01",
        "192.0.2.1:",
        "192.0.2.1:http",
        "192.0.2.1:٣",
        "192.0.2.1/24",
        "[192.0.2.1]",
        "[2001:db8::1",
        "[2001:db8::1]443",
        "3232235777",
        '"192.0.2.1"',
        "192.0.2.1" + " " * 100,
        "1" * 100_000,
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ([], PROXY),
        ([""], PROXY),
        ([CLIENT], CLIENT),
        ([f"{CLIENT}:4711"], CLIENT),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        ([f"::ffff:{CLIENT}"], CLIENT),
        ([f"192.0.2.66, {CLIENT}"], CLIENT),
        (["192.0.2.66", CLIENT], CLIENT),
        ([f"{CLIENT}, 10.9.9.9"], CLIENT),
        ([CLIENT, "10.9.9.9, fd00::1"], CLIENT),
        (["10.7.7.7, 10.9.9.9"], "10.7.7.7"),
        ([f"nonsense, {CLIENT}"], CLIENT),
        ([f"{CLIENT}, , "], CLIENT),
    ],
)
def test_headers_are_read_from_the_right_past_trusted_proxies(forwarded: list[str], address: str) -> None:
    assert client_address(PROXY, forwarded, PROXIES) == address
    assert client_address(f"::ffff:{PROXY}", forwarded, PROXIES) in {address, f"::ffff:{PROXY}"}


@pytest.mark.parametrize("forwarded", [["nonsense"], [f"{CLIENT}, unknown"], [f"{CLIENT}, nonsense, 10.0.0.2"]])
def test_where_a_trusted_proxy_names_no_address_none_is_known(forwarded: list[str]) -> None:
    assert client_address(PROXY, forwarded, PROXIES) is None


@pytest.mark.parametrize("peer", ["203.0.113.5", "2001:db8::5", "::ffff:203.0.113.5"])
def test_what_others_say_is_ignored(peer: str) -> None:
    assert client_address(peer, ["10.0.0.1"], PROXIES) == peer
    assert client_address(peer, ["nonsense"], PROXIES) == peer


def test_without_trusted_proxies_the_connection_alone_counts() -> None:
    assert client_address(PROXY, [CLIENT], Networks([])) == PROXY
    assert client_address(None, [CLIENT], PROXIES) is None


def test_a_header_of_endless_proxies_says_nothing() -> None:
    hops = ", ".join(["10.0.0.1"] * (MOST_PROXIES + 1))
    assert client_address(PROXY, [hops], PROXIES) is None


def test_networks_hold_what_is_in_them() -> None:
    networks = Networks(["192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "::ffff:10.0.0.0/104"])
    inside = ("192.0.2.255", "198.51.100.7", "2001:db8::1", "10.255.0.1", "::ffff:192.0.2.1")
    outside = ("192.0.3.0", "198.51.100.8", "2001:db9::", "11.0.0.0", "garbage", None)
    assert all(address in networks for address in inside)
    assert not any(address in networks for address in outside)


def test_all_of_ipv6_holds_no_ipv4() -> None:
    assert "::ffff:10.0.0.1" not in Networks(["::/0"])
    assert "::ffff:10.0.0.1" in Networks(["0.0.0.0/0"])


def test_a_network_that_cannot_be_read_holds_nobody_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    networks = Networks(["10.0.0.0/33", "192.0.2.0/24"])
    assert "10.0.0.1" not in networks
    assert "192.0.2.1" in networks
    assert "10.0.0.0/33" in caplog.text
