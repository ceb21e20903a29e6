"""Whether the public URL leads to the host's own endpoint.

An unauthenticated call must meet the sidecar's 401, which carries its instance. Nothing of an answer is passed on but
whether it was ours: the URL is the user's choice, and the operator must not become a way to read what it can reach.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp

from fairlead_api.conditions import HostReason
from fairlead_operator.observe.http import timeout
from fairlead_operator.reconcile.observed import Exposure

INSTANCE_HEADER = "Fairlead-Instance"
TIMEOUT = 5.0


async def check_exposure(session: aiohttp.ClientSession, url: str, instance: str) -> Exposure:
    """Ask the public URL who it is."""
    if _is_loopback(urlsplit(url).hostname or ""):
        return Exposure(
            HostReason.ENDPOINT_UNREACHABLE,
            f"{url} means whatever machine it is used on: the operator can't tell whether it leads here.",
        )
    try:
        async with session.get(url, timeout=timeout(TIMEOUT, connect=3), allow_redirects=False) as response:
            ours = response.status == 401 and response.headers.get(INSTANCE_HEADER) == instance
    except aiohttp.ClientConnectorCertificateError:
        return Exposure(
            HostReason.ENDPOINT_UNREACHABLE,
            f"{url} shows a certificate that the operator does not trust. Agents may trust it; if not, mend the TLS"
            " Secret.",
        )
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return Exposure(
            HostReason.ENDPOINT_UNREACHABLE,
            f"{url} does not answer the operator. It may still answer from outside the cluster: check DNS and the"
            " Ingress controller.",
        )
    if not ours:
        return Exposure(
            HostReason.ENDPOINT_MISROUTED,
            f"Something else answers at {url}: check the Ingress class, DNS and what is in front.",
        )
    if not url.startswith("https:"):
        return Exposure(
            HostReason.INSECURE_HTTP,
            f"{url} leads here, but without TLS: tokens travel in the clear. Configure TLS for the endpoint.",
        )
    return Exposure(HostReason.EXPOSED, f"{url} leads to this host's endpoint.")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
