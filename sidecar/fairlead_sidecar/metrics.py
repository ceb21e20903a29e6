"""Prometheus metrics of one sidecar, in a registry of its own. Every label has a bounded set of values."""

from collections.abc import Callable, Mapping

from prometheus_client.metrics import Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import CollectorRegistry

from fairlead_sidecar.ssh.observer import Direction

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """All metrics; also the link's observer."""

    def __init__(self, sessions: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._calls = Counter(
            "fairlead_calls",
            "Tool calls by outcome: ok, cancelled, or the error's code.",
            ["tool", "outcome"],
            registry=self.registry,
        )
        self._durations = Histogram(
            "fairlead_call_duration_seconds",
            "Duration of tool calls.",
            ["tool"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._denied = Counter(
            "fairlead_denied", "Requests and calls that were refused.", ["reason"], registry=self.registry
        )
        self._connected = Gauge(
            "fairlead_ssh_connected", "Whether the SSH link is up (1) or not (0).", registry=self.registry
        )
        self._reconnects = Counter(
            "fairlead_ssh_reconnects", "How often the lost SSH link came back.", registry=self.registry
        )
        self._bytes = Counter(
            "fairlead_bytes",
            "Payload bytes over SSH, received from the host or sent to it.",
            ["direction"],
            registry=self.registry,
        )
        self._generation = Gauge(
            "fairlead_config_generation",
            "Generation of the RemoteHost whose configuration is in force.",
            registry=self.registry,
        )
        self._evicted = Counter(
            "fairlead_sessions_evicted",
            "Idle sessions that were ended because their token opened too many.",
            registry=self.registry,
        )
        self._server_calls = Counter(
            "fairlead_mcp_server_calls",
            "Requests to the host's MCP servers by outcome: ok, tool_error, cancelled, or the error's code.",
            ["server", "method", "outcome"],
            registry=self.registry,
        )
        self._server_durations = Histogram(
            "fairlead_mcp_server_call_duration_seconds",
            "Duration of requests to the host's MCP servers.",
            ["server"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._server_up = Gauge(
            "fairlead_mcp_server_up",
            "Whether an MCP server of the host can be used (1) or not (0).",
            ["server"],
            registry=self.registry,
        )
        self._server_restarts = Counter(
            "fairlead_mcp_server_restarts",
            "How often an MCP server of the host came back after it could not be used.",
            ["server"],
            registry=self.registry,
        )
        self._was_up: dict[str, bool] = {}
        """Whether a server was usable when last seen; False also for one that never was."""
        self._ever_up: set[str] = set()
        Gauge(
            "fairlead_sessions", "Open MCP sessions of the handshake protocols.", registry=self.registry
        ).set_function(sessions)
        for direction in ("received", "sent"):
            self._bytes.labels(direction)

    def call(self, tool: str, outcome: str, seconds: float) -> None:
        """A tool call ended."""
        self._calls.labels(tool, outcome).inc()
        self._durations.labels(tool).observe(seconds)

    def server_call(self, server: str, method: str, outcome: str, seconds: float) -> None:
        """A request to an upstream server ended."""
        if server in self._was_up:
            self._server_calls.labels(server, method, outcome).inc()
            self._server_durations.labels(server).observe(seconds)

    def servers(self, up: Mapping[str, bool]) -> None:
        """How the configured upstream servers stand; what is known of others is forgotten."""
        for server in self._was_up.keys() - up.keys():
            self._forget(server)
        for server, usable in up.items():
            self._server_up.labels(server).set(usable)
            restarts = self._server_restarts.labels(server)
            if usable and not self._was_up.get(server) and server in self._ever_up:
                restarts.inc()
            if usable:
                self._ever_up.add(server)
            self._was_up[server] = usable

    def _forget(self, server: str) -> None:
        del self._was_up[server]
        self._ever_up.discard(server)
        for metric in (self._server_calls, self._server_durations, self._server_up, self._server_restarts):
            metric.remove_by_labels({"server": server})

    def denial(self, reason: str) -> None:
        """Something was refused."""
        self._denied.labels(reason).inc()

    def session_evicted(self) -> None:
        """An idle session made room for another one of its owner."""
        self._evicted.inc()

    def generation(self, generation: int) -> None:
        """A configuration came into force."""
        self._generation.set(generation)

    def on_reconnect(self) -> None:
        """See `fairlead_sidecar.ssh.observer.Observer`."""
        self._reconnects.inc()

    def on_bytes(self, direction: Direction, count: int) -> None:
        """See `fairlead_sidecar.ssh.observer.Observer`."""
        self._bytes.labels(direction).inc(count)

    def on_state(self, *, connected: bool) -> None:
        """See `fairlead_sidecar.ssh.observer.Observer`."""
        self._connected.set(connected)
