"""Which host keys are trusted. There is no way to trust any: the host is verified at every connect."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from fairlead_sidecar.config import AuthorityHostKeys, PinnedHostKeys
from fairlead_sidecar.errors import HostKeyMismatch

MAX_LINE = 4096
"""Characters of a public key that are reported: an RSA key of 16384 bits has 2800."""
_RSA = ("rsa-sha2-512", "rsa-sha2-256")
_SIGNATURES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", *_RSA)
_CERTIFICATES = tuple(f"{name}-cert-v01@openssh.com" for name in _SIGNATURES)


@dataclass(frozen=True, slots=True)
class TrustedHostKeys:
    """The keys that one host may present."""

    keys: tuple[asyncssh.SSHKey, ...]
    authorities: tuple[asyncssh.SSHKey, ...] = ()
    """Keys that sign host certificates."""
    revoked: tuple[asyncssh.SSHKey, ...] = ()
    source: str = "the pinned host keys"
    """For messages: where this trust is written down."""
    is_first_use: bool = False
    """Nothing is trusted yet; what the host presents is to be reported."""

    @property
    def known_hosts(self) -> tuple[Sequence[asyncssh.SSHKey], ...]:
        """The form that asyncssh takes; never None, which would turn the check off."""
        return (list(self.keys), list(self.authorities), list(self.revoked))

    @property
    def algorithms(self) -> list[str]:
        """Host key algorithms by preference: those of trusted keys first.

        A server with several host keys then presents the one that is trusted. The others follow, so that a server
        without such a key presents what it has, and the mismatch can be reported with its fingerprint.
        """
        own = [name for key in self.keys for name in _signatures(key.get_algorithm())]
        return list(dict.fromkeys([*(_CERTIFICATES if self.authorities else ()), *own, *_SIGNATURES]))

    def trusts(self, fingerprint: str) -> bool:
        """Whether the key with this `SHA256:…` fingerprint is trusted by itself (not through a certificate)."""
        return fingerprint in self.fingerprints and not self._is_revoked(fingerprint)

    def trusts_as(self, former: "TrustedHostKeys", fingerprint: str) -> bool:
        """Whether a host key that was verified with `former` is trusted now too.

        Nobody tells which authority vouched for it, so all the former ones must still be trusted.
        """
        if self.trusts(fingerprint):
            return True
        if not former.authorities or former.trusts(fingerprint) or self._is_revoked(fingerprint):
            return False
        return set(former.authorities) <= set(self.authorities) - set(self.revoked)

    def _is_revoked(self, fingerprint: str) -> bool:
        return fingerprint in {key.get_fingerprint() for key in self.revoked}

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """`SHA256:…` of each trusted key, as `ssh-keygen -l` prints it."""
        return tuple(key.get_fingerprint() for key in self.keys)


def pinned_keys(pins: PinnedHostKeys) -> TrustedHostKeys:
    """The pins of the configuration.

    Raises:
        HostKeyMismatch: A pin can't be read, so nothing the host presents could match it.
    """
    return TrustedHostKeys(_public_keys(pins.public_keys, "Pinned host key"))


def authority_keys(trust: AuthorityHostKeys) -> TrustedHostKeys:
    """The authorities of the configuration: only a certificate of theirs is trusted, no bare key.

    Raises:
        HostKeyMismatch: The key of an authority can't be read.
    """
    keys = _public_keys(trust.public_keys, "Public key of the host key authority")
    return TrustedHostKeys((), authorities=keys, source="the configuration")


def known_keys(files: Iterable[Path], host: str, port: int) -> TrustedHostKeys:
    """The entries for one host in `known_hosts` files, plain and hashed, as `ssh` reads them (sshd(8)).

    Files that do not exist and lines that can't be read are passed over.
    """
    paths = list(files)
    entries = asyncssh.import_known_hosts("\n".join(line for path in paths for line in _lines(path)))
    # No address is given: a key that is known for an address only says nothing about the name, nor the reverse.
    keys, authorities, revoked, *_x509 = entries.match(host, "", None if port == asyncssh.DEFAULT_PORT else port)
    return TrustedHostKeys(tuple(keys), tuple(authorities), tuple(revoked), " or ".join(map(str, paths)))


def public_line(key: asyncssh.SSHKey | None) -> str | None:
    """A public key in OpenSSH's one-line format, without a comment; None also where that is too long to be real."""
    line = " ".join(key.export_public_key().decode().split()[:2]) if key is not None else ""
    return line if 0 < len(line) <= MAX_LINE else None


def _public_keys(lines: Iterable[str], what: str) -> tuple[asyncssh.SSHKey, ...]:
    keys = []
    for number, line in enumerate(lines, start=1):
        try:
            keys.append(asyncssh.import_public_key(line.strip()))
        except asyncssh.KeyImportError as error:
            raise HostKeyMismatch(
                f"{what} {number} is no public key: {error}.",
                hint="Write it as in the host's /etc/ssh/ssh_host_ed25519_key.pub: `ssh-ed25519 AAAA…`.",
            ) from error
    return tuple(keys)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if _readable(line)]


def _readable(line: str) -> bool:
    try:
        asyncssh.import_known_hosts(line)
    except ValueError:
        return False
    return True


def _signatures(algorithm: str) -> tuple[str, ...]:
    # An RSA key signs with SHA-2 (RFC 8332); `ssh-rsa` itself names the SHA-1 signature, which is not accepted.
    return _RSA if algorithm == "ssh-rsa" else (algorithm,)
