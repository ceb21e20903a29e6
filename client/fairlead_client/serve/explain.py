"""Why the first login failed, in the words of somebody at a terminal who could also have typed `ssh HOST`."""

import shlex

from fairlead_client.serve.options import ServeOptions
from fairlead_sidecar.config import Target
from fairlead_sidecar.errors import AuthenticationFailed, HostKeyMismatch, LinkError
from fairlead_sidecar.statusz import LinkStatus


def explain(status: LinkStatus, options: ServeOptions, target: Target) -> str:
    """One paragraph: what failed, and what to run."""
    if status.reason == HostKeyMismatch.reason:
        return f"{_fact(status, HostKeyMismatch)}\n{_about_host_key(options, target)}"
    if status.reason == AuthenticationFailed.reason:
        return (
            f"{_fact(status, AuthenticationFailed)}\n"
            f"`{ssh_command(options)}` must log in without a password first: load the key into ssh-agent (ssh-add), "
            "name it with --identity, or add its public half to authorized_keys on the host. At a terminal, "
            "a password is asked for."
        )
    return status.message


def _fact(status: LinkStatus, kind: type[LinkError]) -> str:
    """The message without the hint for owners of a RemoteHost."""
    return status.message.removesuffix(kind.default_hint).rstrip()


def ssh_command(options: ServeOptions) -> str:
    """The `ssh` command line that goes where `fairlead serve` goes."""
    words = ["ssh"]
    if options.ssh_config is not None:
        words += ["-F", str(options.ssh_config)]
    for file in options.identity_files:
        words += ["-i", str(file)]
    if options.known_hosts is not None:
        words += ["-o", f"UserKnownHostsFile={options.known_hosts}"]
    if options.destination.port is not None:
        words += ["-p", str(options.destination.port)]
    user = "" if options.destination.username is None else f"{options.destination.username}@"
    return shlex.join([*words, f"{user}{options.destination.host}"])


def _about_host_key(options: ServeOptions, target: Target) -> str:
    removal = f"ssh-keygen -R {_known_hosts_name(target)}"
    if options.known_hosts is not None:
        removal += f" -f {shlex.quote(str(options.known_hosts))}"
    return (
        "Compare the fingerprint with what the host itself says (run there: ssh-keygen -lf "
        "/etc/ssh/ssh_host_ed25519_key.pub). "
        f"If it is the same, run `{ssh_command(options)}` once and answer yes; if the key has changed and you know "
        f"why, remove the old one first ({removal}). Nothing was sent to the host."
    )


def _known_hosts_name(target: Target) -> str:
    return target.address if target.port == 22 else shlex.quote(f"[{target.address}]:{target.port}")
