"""The main job: from `kubectl apply` to an agent's first command."""

from tests.e2e.support.agent import agent, call, initialize
from tests.e2e.support.hosts import Shop


async def test_an_agent_lists_the_tools_and_runs_a_command_through_the_ingress(shop: Shop) -> None:
    async with agent(shop.url(), shop.token()) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == {"execute_command", "read_file", "write_file", "list_directory", "connection_status"}
        result = await client.call_tool("execute_command", {"command": "id -un; hostname >&2; exit 3"})
    assert result.structured_content is not None
    assert result.structured_content["stdout"] == "deploy\n"
    assert result.structured_content["exit_code"] == 3
    assert result.structured_content["host"] == "web-01"
    assert not result.is_error


async def test_what_an_agent_writes_is_on_the_host(shop: Shop) -> None:
    written = await call(shop.url(), shop.token(), "write_file", path="/tmp/greeting", content="ahoy\n")
    assert not written["is_error"]
    assert shop.ssh_host.run("cat", "/tmp/greeting") == "ahoy\n"
    read = await call(shop.url(), shop.token(), "read_file", path="/tmp/greeting")
    assert read["content"] == "ahoy\n"


def test_kubectl_get_shows_what_a_person_needs(shop: Shop) -> None:
    table = shop.kube.run("get", "rh", "-n", shop.namespace)
    header, row = table.splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "URL", "AGE"]
    assert row.split()[:4] == ["web-01", "True", "Ready", shop.url()]


def test_every_condition_of_a_ready_host_says_so(shop: Shop) -> None:
    status = shop.host()["status"]
    true = {c["type"] for c in status["conditions"] if c["status"] == "True"}
    assert {"CredentialsReady", "HostKeyTrusted", "Connected", "Ready"} <= true
    assert status["toolCount"] == 5
    assert status["hostKeyFingerprint"].startswith("SHA256:")
    assert status["sshServerVersion"].startswith("SSH-2.0-OpenSSH")
    assert all(c["observedGeneration"] == shop.host()["metadata"]["generation"] for c in status["conditions"])


def test_no_token_and_a_wrong_token_are_refused_at_the_public_url(shop: Shop) -> None:
    for token in (None, "nonsense", shop.token()[:-1] + "x"):
        response = initialize(shop.url(), token)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer ")
        assert response.headers["fairlead-instance"] == shop.host()["metadata"]["uid"]


def test_the_internal_port_is_not_routed_by_the_ingress(shop: Shop) -> None:
    for path in ("statusz", "metrics", "healthz", "readyz"):
        response = initialize(shop.url().removesuffix("mcp") + path, shop.token())
        assert response.status_code in {404, 405}, path


def test_the_sidecar_has_no_way_to_the_kubernetes_api(shop: Shop) -> None:
    (pod,) = shop.kube.list("pods", shop.namespace)
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["enableServiceLinks"] is False
    mounts = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
    assert not [path for path in mounts if "serviceaccount" in path]


def test_no_secret_is_in_the_logs_of_pod_and_operator(shop: Shop) -> None:
    initialize(shop.url(), shop.token())
    initialize(shop.url(), shop.token()[:-1] + "x")
    logs = shop.kube.run("logs", "-n", shop.namespace, "deploy/rh-web-01")
    logs += shop.kube.run("logs", "-n", shop.installation.namespace, shop.installation.operator)
    key_body = shop.ssh_host.private_key.splitlines()[1]
    secret_part = shop.token().split("_")[2][:20]
    assert key_body not in logs
    assert secret_part not in logs
