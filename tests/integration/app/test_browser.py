"""What browsers get, and requests for what is not there."""

import re
from html.parser import HTMLParser

import httpx
import pytest

from fairlead_sidecar.config import Endpoint
from tests.integration.app.endpoint import PATH, RunningEndpoint

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Tags(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


async def browse(
    endpoint: RunningEndpoint, path: str = f"{PATH}/mcp", method: str = "GET", **headers: str
) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.request(method, endpoint.origin + path, headers=BROWSER | headers)


async def test_a_browser_is_told_what_this_is_and_how_to_add_it_to_a_client(hostless: RunningEndpoint) -> None:
    answer = await browse(hostless, Host="mcp.example.com", **{"X-Forwarded-Proto": "https"})
    page = Tags(answer.text)
    url = f"https://mcp.example.com{PATH}/mcp"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "This is an MCP endpoint" in page.text
    assert f"claude mcp add --transport http NAME {url} --header" in page.text
    assert f"codex mcp add NAME --url {url}" in page.text
    assert f'"url": "{url}"' in page.text


async def test_the_page_is_a_401_like_any_other(hostless: RunningEndpoint) -> None:
    page, plain = await browse(hostless), await browse(hostless, Accept="*/*")
    assert page.status_code == plain.status_code == 401
    for name in ("www-authenticate", "fairlead-instance"):
        assert page.headers[name] == plain.headers[name]
    assert plain.json()["error"] == "unauthorized"
    assert [line["outcome"] for line in hostless.audit("denial")] == ["missing_token"] * 2


async def test_the_page_runs_nothing_and_loads_nothing(hostless: RunningEndpoint) -> None:
    answer = await browse(hostless)
    page = Tags(answer.text)
    assert page.names.isdisjoint({"script", "iframe", "img", "link", "form", "object", "svg"})
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("style", "src")]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


async def test_the_page_tells_nothing_of_the_host(hostless: RunningEndpoint) -> None:
    hostless.reconfigure(description="payments database")
    await hostless.settled()
    text = (await browse(hostless)).text
    target = hostless.config.target
    for secret in ("payments", target.username, str(target.port), hostless.config.instance):
        assert secret not in re.sub(r"127\.0\.0\.1:\d+", "", text)


@pytest.mark.parametrize("host", ['"><script>alert(1)</script>', "x'onload='y", "a&b<c"])
async def test_the_name_that_was_asked_for_is_escaped(hostless: RunningEndpoint, host: str) -> None:
    answer = await browse(hostless, Host=host)
    assert Tags(answer.text).names.isdisjoint({"script", "c"})
    assert host not in answer.text
    assert f"http://{host}{PATH}/mcp" in Tags(answer.text).text


async def test_the_page_is_only_where_mcp_is_and_only_for_those_without_a_token(hostless: RunningEndpoint) -> None:
    for answer in (
        await browse(hostless, "/elsewhere"),
        await browse(hostless, f"{PATH}/sse"),
        await browse(hostless, Authorization="Bearer wrong"),
        await browse(hostless, method="POST"),
        await browse(hostless, Accept="text/html, text/event-stream"),
    ):
        assert answer.status_code == 401
        assert set(answer.json()) == {"error", "message"}


async def test_a_foreign_host_name_gets_no_page(hostless: RunningEndpoint) -> None:
    hostless.reconfigure(endpoint=Endpoint(path=PATH, allowed_hosts=("mcp.example.com",)))
    await hostless.settled()
    answer = await browse(hostless, Host="evil.example.com")
    assert (answer.status_code, answer.json()["error"]) == (421, "misdirected_request")


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/favicon.ico", 404, "not_found"),
        ("POST", f"{PATH}/mcp/more", 404, "not_found"),
        ("GET", f"{PATH}/mcp//", 404, "not_found"),
        ("GET", f"{PATH.upper()}/mcp", 404, "not_found"),
        ("OPTIONS", f"{PATH}/mcp", 405, "method_not_allowed"),
        ("PATCH", f"{PATH}/mcp", 405, "method_not_allowed"),
        ("POST", f"{PATH}/sse", 405, "method_not_allowed"),
        ("DELETE", f"{PATH}/sse", 405, "method_not_allowed"),
        ("GET", f"{PATH}/messages", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_is_said_in_json_after_authentication(
    hostless: RunningEndpoint, method: str, path: str, status: int, error: str
) -> None:
    async with hostless.http() as http, httpx.AsyncClient() as stranger:
        answer = await http.request(method, hostless.origin + path)
        before = await stranger.request(method, hostless.origin + path)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert set(answer.json()) == {"error", "message"}
    assert ("allow" in answer.headers) is (status == 405)
    assert (before.status_code, before.json()["error"]) == (401, "unauthorized")


async def test_head_is_answered_with_headers_only(hostless: RunningEndpoint) -> None:
    async with hostless.http() as http, httpx.AsyncClient() as stranger:
        found = await http.head(hostless.url)
        missing = await http.head(f"{hostless.origin}/elsewhere")
        messages = await http.head(f"{hostless.origin}{PATH}/messages")
        unknown = await stranger.head(hostless.url)
        page = await stranger.head(hostless.url, headers=BROWSER)
        assert (await http.post(hostless.url, json={})).status_code == 400  # the connections are still good
    statuses = [answer.status_code for answer in (found, missing, messages, unknown, page)]
    assert statuses == [200, 404, 405, 401, 401]
    assert not any(answer.content for answer in (found, missing, messages, unknown, page))
    assert hostless.sidecar.sessions.count() == 0
