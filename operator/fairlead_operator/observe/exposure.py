"""Whether the public URL leads to the host's own endpoint.

An unauthenticated call must meet the sidecar's 401, which carries its instance. The URL is the user's choice, and the
operator must not become a way to look at what it can reach: nothing of an answer is passed on but whether it was ours,
and at an address that the user chose not even whether there was one.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp

from fairlead_api.conditions import HostReason
from fairlead_operator.observe.http import timeout
from fairlead_operator.reconcile.default_endpoint import on_default_origin
from fairlead_operator.reconcile.endpoint import MCP_SUFFIX
from fairlead_operator.reconcile.observed import Exposure
from fairlead_operator.settings import Settings

INSTANCE_HEADER = "Fairlead-Instance"
TIMEOUT = 5.0


class ExposureCheck:
    """Asks public URLs who they are."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        """Make a check.

        Args:
            session: Of `open_public_session`, which does not reach everything.
            settings: The operator's settings: of its own default endpoint it may tell more.
        """
        self._session = session
        self._settings = settings

    async def __call__(self, url: str, instance: str) -> Exposure:
        """Ask one."""
        parts = urlsplit(url)
        if _is_loopback(parts.hostname or ""):
            return _unreachable(
                f"{url} means whatever machine it is used on: the operator can't tell whether it leads here."
            )
        if not parts.path.endswith(MCP_SUFFIX):
            return _unreachable(f"{url} is not asked, because its path does not end with {MCP_SUFFIX}.")
        problem = await self._ask(url, instance)
        if problem is not None:
            if on_default_origin(url, self._settings):
                return problem
            return _unreachable(
                f"{url} does not answer the operator as this endpoint. It may still do so from outside the cluster:"
                " check DNS, TLS, the Ingress class and what is in front."
            )
        if not url.startswith("https:"):
            return Exposure(
                HostReason.INSECURE_HTTP,
                f"{url} leads here, but without TLS: tokens travel in the clear. Configure TLS for the endpoint.",
            )
        return Exposure(HostReason.EXPOSED, f"{url} leads to this host's endpoint.")

    async def _ask(self, url: str, instance: str) -> Exposure | None:
        """What is wrong, None: nothing."""
        try:
            async with self._session.get(url, timeout=timeout(TIMEOUT, connect=3), allow_redirects=False) as response:
                ours = response.status == 401 and response.headers.get(INSTANCE_HEADER) == instance
        except aiohttp.ClientConnectorCertificateError:
            return _unreachable(
                f"{url} shows a certificate that the operator does not trust. Agents may trust it; if not, mend the TLS"
                " Secret."
            )
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return _unreachable(
                f"{url} does not answer the operator. It may still answer from outside the cluster: check DNS and the"
                " Ingress controller."
            )
        if ours:
            return None
        return Exposure(
            HostReason.ENDPOINT_MISROUTED,
            f"Something else answers at {url}: check the Ingress class, DNS and what is in front.",
        )


def _unreachable(message: str) -> Exposure:
    return Exposure(HostReason.ENDPOINT_UNREACHABLE, message)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
