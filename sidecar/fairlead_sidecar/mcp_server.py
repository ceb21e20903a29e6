"""The MCP server of a sidecar, for any transport and both protocol eras."""

from importlib.metadata import version
from typing import Any

import mcp_types as types
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.protocol.caller import Callers, Context
from fairlead_sidecar.protocol.calls import Calls
from fairlead_sidecar.protocol.changes import Changes
from fairlead_sidecar.protocol.completion import Completions
from fairlead_sidecar.protocol.instructions import instructions
from fairlead_sidecar.protocol.listing import Listing
from fairlead_sidecar.protocol.notices import Notices
from fairlead_sidecar.protocol.prompts import Prompts
from fairlead_sidecar.protocol.resources import Resources
from fairlead_sidecar.protocol.running import Runner
from fairlead_sidecar.protocol.server_levels import ServerLevels
from fairlead_sidecar.protocol.server_messages import ServerMessages
from fairlead_sidecar.protocol.servers import ROOTS_CHANGED, Servers
from fairlead_sidecar.protocol.subscriptions import Subscriptions
from fairlead_sidecar.protocol.upstream_calls import UpstreamCalls
from fairlead_sidecar.protocol.upstream_requests import UpstreamRequests
from fairlead_sidecar.reload import Active
from fairlead_sidecar.sidecar import Sidecar


class HostServer(Server[Any]):
    """A server whose lists change, and that says so in both eras."""

    changes: Changes
    """Who is told of it."""
    notices: Notices
    """Who is told of what else happens."""
    subscriptions: Subscriptions
    """Who watches which resources of upstream servers."""

    @property
    def server_info_stamp(self) -> dict[str, Any]:
        """See `Server`, which copies it deeply for each answer; ours holds nothing but texts."""
        return dict(self._server_info_stamp_source)

    def get_capabilities(
        self,
        notification_options: NotificationOptions | None = None,  # noqa: ARG002 - it is always the same
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
        *,
        protocol_version: str | None = None,
    ) -> types.ServerCapabilities:
        """See `Server`."""
        capabilities = super().get_capabilities(
            NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True),
            experimental_capabilities,
            extensions,
            protocol_version=protocol_version,
        )
        if capabilities.resources is not None:
            # The SDK takes it for granted wherever subscriptions are served, but files are not watched.
            capabilities.resources.subscribe = self.subscriptions.supported()
        if protocol_version in MODERN_PROTOCOL_VERSIONS:
            # It knows no `logging/setLevel`, and log messages only beside an answer.
            capabilities.logging = None
        return capabilities


def build_server(sidecar: Sidecar, *, local_caller: Caller | None = None) -> HostServer:
    """The MCP server of a sidecar.

    Args:
        local_caller: Who it is when messages do not come over HTTP (stdio); None refuses them.
    """
    callers = Callers(sidecar, local_caller)
    runner, listing, notices = Runner(callers), Listing(callers), Notices(callers)
    servers = Servers(callers)
    subscriptions, levels = Subscriptions(callers, servers), ServerLevels(servers, notices)
    changes = Changes(callers, servers, subscriptions)
    sidecar.upstreams.on_change.append(levels.renew)
    ServerMessages(sidecar, notices)
    server = HostServer(
        "fairlead",
        version=version("fairlead"),
        on_list_tools=listing.list_tools,
        on_list_resources=listing.list_resources,
        on_list_resource_templates=listing.list_templates,
        on_read_resource=Resources(runner).read,
        on_list_prompts=listing.list_prompts,
        on_get_prompt=Prompts(callers).get,
        on_completion=Completions(runner).complete,
        on_subscriptions_listen=changes.listen,
        # Else the SDK runs tools/list before each call only to look for a header feature that no tool uses.
        get_tool_input_schema=lambda _name: None,
    )
    # Not as `on_call_tool`, whose results are models: ours are written already.
    server.add_request_handler("tools/call", types.CallToolRequestParams, Calls(runner).call_tool)
    server.changes, server.notices, server.subscriptions = changes, notices, subscriptions
    calls = UpstreamCalls(runner, servers, levels)
    requests = UpstreamRequests(callers, servers, calls, subscriptions, lambda: server.server_info_stamp)
    # In the place of the SDK's own, which makes a span of each message for OpenTelemetry: nothing exports them here.
    server.middleware[:] = [requests]
    # Not as `on_set_logging_level`, which warns that the modern protocol has it no more.
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, notices.set_level)

    async def initialized(ctx: Context, _params: types.NotificationParams | None) -> None:
        changes.initialized(ctx)
        notices.initialized(ctx)

    server.add_notification_handler("notifications/initialized", types.NotificationParams, initialized)

    async def roots_changed(ctx: Context, _params: types.NotificationParams | None) -> None:
        await servers.roots_changed(ctx)

    server.add_notification_handler(ROOTS_CHANGED, types.NotificationParams, roots_changed)

    def introduce(active: Active) -> None:
        server.title = f"{active.config.namespace}/{active.config.name}"
        server.instructions = instructions(active)

    sidecar.on_active.append(introduce)
    if sidecar.active is not None:
        introduce(sidecar.active)
    return server
