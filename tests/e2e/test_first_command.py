"""The main job: from `kubectl apply` to an agent's first command."""

from tests.e2e.support.agent import agent, call, initialize
from tests.e2e.support.hosts import Shop
from tests.e2e.support.kube import condition
from tests.e2e.support.waiting import wait_until


async def test_an_agent_lists_the_tools_and_runs_a_command_through_the_ingress(shared_shop: Shop) -> None:
    async with agent(shared_shop.url(), shared_shop.token()) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert {"execute_command", "read_file", "write_file", "list_directory", "connection_status"} <= tools
        result = await client.call_tool("execute_command", {"command": "id -un; hostname >&2; exit 3"})
    assert result.structured_content is not None
    assert result.structured_content["stdout"] == "deploy\n"
    assert result.structured_content["exit_code"] == 3
    assert result.structured_content["host"] == "web-01"
    assert not result.is_error


async def test_what_an_agent_writes_is_on_the_host(shared_shop: Shop) -> None:
    written = await call(shared_shop.url(), shared_shop.token(), "write_file", path="/tmp/greeting", content="ahoy\n")
    assert not written["is_error"]
    assert shared_shop.ssh_host.run("cat", "/tmp/greeting") == "ahoy\n"
    read = await call(shared_shop.url(), shared_shop.token(), "read_file", path="/tmp/greeting")
    assert read["content"] == "ahoy\n"


def test_kubectl_get_shows_what_a_person_needs(shared_shop: Shop) -> None:
    def read() -> tuple[list[str], str, str] | None:
        """The table, and the reason of `Exposed` where it was the same before and after."""
        reason = condition(shared_shop.host(), "Exposed")["reason"]
        table = shared_shop.kube.run("get", "rh", "web-01", "-n", shared_shop.namespace)
        same = condition(shared_shop.host(), "Exposed")["reason"] == reason
        return (table.splitlines(), reason, shared_shop.url()) if same else None

    (header, row), reason, url = wait_until(read, what="status that stands still")
    assert header.split() == ["NAME", "READY", "REASON", "EXPOSED", "URL", "AGE"]
    assert row.split()[:5] == ["web-01", "True", "Ready", reason, url]


async def test_every_condition_of_a_ready_host_says_so(shared_shop: Shop) -> None:
    status = shared_shop.host()["status"]
    async with agent(shared_shop.url(), shared_shop.token()) as client:
        offered = len((await client.list_tools()).tools)
    true = {c["type"] for c in status["conditions"] if c["status"] == "True"}
    assert {"CredentialsReady", "HostKeyTrusted", "Connected", "Ready"} <= true
    assert status["toolCount"] == offered
    assert status["hostKeyFingerprint"].startswith("SHA256:")
    assert status["sshServerVersion"].startswith("SSH-2.0-OpenSSH")
    assert all(c["observedGeneration"] == shared_shop.host()["metadata"]["generation"] for c in status["conditions"])


def test_no_token_and_a_wrong_token_are_refused_at_the_public_url(shared_shop: Shop) -> None:
    for token in (None, "nonsense", _altered(shared_shop.token())):
        response = initialize(shared_shop.url(), token)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer ")
        assert response.headers["fairlead-instance"] == shared_shop.host()["metadata"]["uid"]


def test_the_internal_port_is_not_routed_by_the_ingress(shared_shop: Shop) -> None:
    for path in ("statusz", "metrics", "healthz", "readyz"):
        response = initialize(shared_shop.url().removesuffix("mcp") + path, shared_shop.token())
        assert response.status_code in {404, 405}, path


def test_the_sidecar_has_no_way_to_the_kubernetes_api(shared_shop: Shop) -> None:
    pod = shared_shop.only_pod()
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["enableServiceLinks"] is False
    mounts = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
    assert not [path for path in mounts if "serviceaccount" in path]


def test_no_secret_is_in_the_logs_of_pod_and_operator(shared_shop: Shop) -> None:
    initialize(shared_shop.url(), shared_shop.token())
    initialize(shared_shop.url(), _altered(shared_shop.token()))
    logs = shared_shop.kube.run("logs", "-n", shared_shop.namespace, "deploy/rh-web-01")
    logs += shared_shop.kube.run("logs", "-n", shared_shop.installation.namespace, shared_shop.installation.operator)
    key_body = shared_shop.ssh_host.private_key.splitlines()[1]
    secret_part = shared_shop.token().split("_")[2][:20]
    assert key_body not in logs
    assert secret_part not in logs


def _altered(token: str) -> str:
    """The token with another last character."""
    return token[:-1] + ("y" if token.endswith("x") else "x")
