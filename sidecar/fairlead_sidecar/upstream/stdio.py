"""MCP servers that are started on the host and speak on their standard input and output.

One is a held command of the link: it has the environment of the account's interactive login shell, its variables
come over standard input and never in an argument list, and whatever it starts ends with it.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fairlead_sidecar.config import Environment, StdioServer, Variable
from fairlead_sidecar.errors import CredentialsNotFound, FairleadError, LinkError
from fairlead_sidecar.ssh.environment import configured
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.ssh.request import CommandRequest
from fairlead_sidecar.statusz import LinkState
from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.upstream.errors import LinkDown, SecretNotFound, StartFailed, UpstreamError
from fairlead_sidecar.upstream.http_headers import LEAST_OF_SECRET
from fairlead_sidecar.upstream.line_wire import StdioWire
from fairlead_sidecar.upstream.spec import OpenWire, Wire
from fairlead_sidecar.upstream.stderr import StandardError

_NO_ENVIRONMENT = Environment()
_SECRET_NAME = re.compile("key|token|secret|passw|credential|auth", re.IGNORECASE)


def stdio_wire(
    server: StdioServer, link: Link, *, name: str, start_timeout: float, environment: Environment = _NO_ENVIRONMENT
) -> OpenWire:
    """What opens wires to `server`: starts it on the host, and ends it with all its processes on leaving.

    Args:
        server: What to start.
        link: Where it runs.
        name: What the log calls it.
        start_timeout: Seconds within which a session on the host has to be there for it.
        environment: What all commands have; the secret values in it are masked like the server's own.
    """

    @asynccontextmanager
    async def open_wire() -> AsyncIterator[Wire]:
        request = CommandRequest(
            argv=(server.command, *server.args),
            working_directory=server.working_directory,
            environment=_values(server.variables),
        )
        redactor = Redactor(_secrets((*environment.variables, *server.variables)))
        stderr = StandardError(name, redactor)
        async with AsyncExitStack() as stack:
            stack.callback(stderr.end)
            try:
                starting = link.hold(request, timeout=start_timeout, on_stderr=stderr.feed)
                held = await stack.enter_async_context(starting)
            except FairleadError as error:
                up = link.status().state is LinkState.CONNECTED
                raise _not_started(server.command, error, connected=up) from error
            yield StdioWire(server.command, held, stderr, redactor)

    return open_wire


def _values(variables: tuple[Variable, ...]) -> dict[str, str]:
    try:
        return configured(Environment(variables=variables))
    except CredentialsNotFound as error:
        raise SecretNotFound(error.message) from error
    except FairleadError as error:
        raise StartFailed(error.message, hint=error.hint) from error


def _secrets(variables: tuple[Variable, ...]) -> list[bytes]:
    values = _values(tuple(variable for variable in variables if variable.secret is not None or _is_secret(variable)))
    # What ends in a line end may be shown without it.
    return [value.strip().encode("utf-8", "surrogateescape") for value in values.values()]


def _is_secret(variable: Variable) -> bool:
    # A client's own file has no other place for secrets.
    return len(variable.value or "") >= LEAST_OF_SECRET and bool(_SECRET_NAME.search(variable.name))


def _not_started(command: str, error: FairleadError, *, connected: bool) -> UpstreamError:
    if isinstance(error, CredentialsNotFound) and connected:
        # One of the variables that all commands have.
        return SecretNotFound(error.message)
    if isinstance(error, LinkError):
        return LinkDown(f"There is no connection to the host: {error.message}")
    return StartFailed(f"{command} could not be started: {error.message}", hint=error.hint)
