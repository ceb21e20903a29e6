"""The credentials of a login, read afresh from the mounted Secret each time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from asyncssh.public_key import CERT_TYPE_USER, SSHOpenSSHCertificate

from fairlead_sidecar.config import SecretFiles
from fairlead_sidecar.errors import CredentialsInvalid, CredentialsNotFound
from fairlead_sidecar.ssh.totp import Totp, parse_totp

PRIVATE_KEY = "ssh-privatekey"
PASSPHRASE = "passphrase"  # noqa: S105 - the name of a file, not a secret
CERTIFICATE = "ssh-certificate"
PASSWORD = "password"  # noqa: S105 - the name of a file, not a secret
TOTP_SECRET = "totp-secret"  # noqa: S105 - the name of a file, not a secret
NEXT_PRIVATE_KEY = "next-ssh-privatekey"
NEXT_CERTIFICATE = "next-ssh-certificate"
KEYS = (PRIVATE_KEY, PASSPHRASE, CERTIFICATE, PASSWORD, TOTP_SECRET, NEXT_PRIVATE_KEY, NEXT_CERTIFICATE)

_READS = 3
"""How often the files are read at most until nothing changes meanwhile."""

FilesVersion = tuple[tuple[str, int, int, int], ...]
ClientKey = asyncssh.SSHKey | tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]
"""A key, alone or with a certificate for it."""
_Files = Mapping[str, bytes]
_Key = tuple[asyncssh.SSHKey, SSHOpenSSHCertificate | None]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login offers to the server."""

    client_keys: tuple[ClientKey, ...]
    """In the order in which they are offered."""
    password: str | None = field(repr=False)
    totp: Totp | None
    description: str
    """For messages: which credentials these are, with the fingerprint of a key, never a secret."""
    successor: ClientKey | None = None
    """That of the client keys which is to follow the others once the host takes it."""
    problem: CredentialsInvalid | None = None
    """Why there is no successor although the Secret holds one; the others are as good as before."""


def load_credentials(auth: SecretFiles) -> Credentials:
    """Read the mounted Secret.

    Blocks (an encrypted key takes tens of milliseconds to open): call it from a thread.

    Raises:
        CredentialsNotFound: The Secret is not there or holds neither a private key nor a password.
        CredentialsInvalid: One of its keys can't be used; the message names it.
    """
    files = _read(auth)
    password = files.get(PASSWORD)
    totp_secret = files.get(TOTP_SECRET)
    found = _load_key(auth, files, PRIVATE_KEY, CERTIFICATE)
    successor, problem = _load_successor(auth, files)
    if found is None and successor is None and password is None:
        if problem is not None:
            raise problem
        raise CredentialsNotFound(
            f"Secret {auth.secret_name} is missing or holds neither `{PRIVATE_KEY}` nor `{PASSWORD}`."
        )
    keys: list[ClientKey] = []
    descriptions = []
    if successor is not None:
        key, certificate = successor
        # Of a certificate it has to be seen whether the host takes it, whatever it knows of the bare key.
        keys.append((key, certificate) if certificate else key)
        descriptions.append(_description(auth, key, certificate, NEXT_PRIVATE_KEY))
    if found is not None:
        key, certificate = found
        # With a certificate the bare key is offered too, as ssh does: the host may know either.
        keys += [(key, certificate), key] if certificate else [key]
        descriptions.append(_description(auth, key, certificate, PRIVATE_KEY))
    if password is not None:
        descriptions.append(f"the password (Secret {auth.secret_name}, key `{PASSWORD}`)")
    if totp_secret is not None:
        descriptions.append(f"one-time codes (Secret {auth.secret_name}, key `{TOTP_SECRET}`)")
    return Credentials(
        client_keys=tuple(keys),
        password=None if password is None else _parse_password(auth, password),
        totp=None if totp_secret is None else _parse_totp(auth, totp_secret),
        description=" and ".join(descriptions),
        successor=keys[0] if successor is not None else None,
        problem=problem,
    )


def _load_key(auth: SecretFiles, files: _Files, name: str, certificate_name: str) -> _Key | None:
    if name not in files:
        return None
    key = _parse_key(auth, name, files[name], files.get(PASSPHRASE))
    if certificate_name not in files:
        return key, None
    return key, _parse_certificate(auth, certificate_name, files[certificate_name], name, key)


def _load_successor(auth: SecretFiles, files: _Files) -> tuple[_Key | None, CredentialsInvalid | None]:
    try:
        return _load_key(auth, files, NEXT_PRIVATE_KEY, NEXT_CERTIFICATE), None
    except CredentialsInvalid as error:
        return None, error


def _description(auth: SecretFiles, key: asyncssh.SSHKey, certificate: SSHOpenSSHCertificate | None, name: str) -> str:
    return f"the {_describe(certificate)}private key {key.get_fingerprint()} (Secret {auth.secret_name}, key `{name}`)"


def files_version(directory: Path) -> FilesVersion:
    """A value that changes when any of the credential files does; cheap enough to look at every second."""
    found = []
    for name in KEYS:
        try:
            stat = (directory / name).stat()
        except OSError:
            continue
        # The size too: times are coarse, and a file may be seen when it is half written.
        found.append((name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def _read(auth: SecretFiles) -> _Files:
    """All files, of one version of the Secret: kubelet may put another one in its place meanwhile."""
    for _ in range(_READS):
        before = files_version(auth.directory)
        files = {name: data for name in KEYS if (data := _read_file(auth, name)) is not None}
        if files_version(auth.directory) == before:
            break
    return files


def _read_file(auth: SecretFiles, name: str) -> bytes | None:
    try:
        return (auth.directory / name).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CredentialsInvalid(
            f"Key `{name}` of Secret {auth.secret_name} can't be read: {error.strerror}."
        ) from error


def _parse_key(auth: SecretFiles, name: str, data: bytes, passphrase: bytes | None) -> asyncssh.SSHKey:
    where = f"Key `{name}` of Secret {auth.secret_name}"
    phrase = None if passphrase is None else passphrase.rstrip(b"\r\n")
    # Editors and pipes leave out or double the last line end, Windows ones write CRLF; none of it means anything.
    data = data.replace(b"\r\n", b"\n").strip() + b"\n"
    try:
        return asyncssh.import_private_key(data, phrase)
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        if not _concerns_passphrase(error):
            raise CredentialsInvalid(
                f"{where} is no private key that can be read: {error}.",
                hint="It must be an OpenSSH or PEM private key, complete with its BEGIN and END lines.",
            ) from error
        if phrase is None:
            raise CredentialsInvalid(
                f"{where} is encrypted and the Secret holds no `{PASSPHRASE}`.",
                hint=f"Add the passphrase to the Secret as `{PASSPHRASE}`, or use a key without one.",
            ) from error
        raise CredentialsInvalid(
            f"{where} does not open with the Secret's `{PASSPHRASE}`: the passphrase is wrong.",
            hint=f"Correct `{PASSPHRASE}` in Secret {auth.secret_name}.",
        ) from error


def _concerns_passphrase(error: Exception) -> bool:
    # The PEM formats report a missing or wrong passphrase as a general import error.
    text = str(error).lower()
    return isinstance(error, asyncssh.KeyEncryptionError) or "passphrase" in text or "decrypt" in text


def _parse_certificate(
    auth: SecretFiles, name: str, data: bytes, key_name: str, key: asyncssh.SSHKey
) -> SSHOpenSSHCertificate:
    where = f"Key `{name}` of Secret {auth.secret_name}"
    try:
        certificate = asyncssh.import_certificate(data.strip() + b"\n")
    except asyncssh.KeyImportError as error:
        raise CredentialsInvalid(
            f"{where} is no SSH certificate: {error}.", hint="It must be the content of a `…-cert.pub` file."
        ) from error
    if not isinstance(certificate, SSHOpenSSHCertificate):
        raise CredentialsInvalid(f"{where} is no OpenSSH certificate.", hint="X.509 certificates can't log in.")
    if _is_host_certificate(certificate):
        raise CredentialsInvalid(
            f"{where} is a host certificate.",
            hint="A login needs a user certificate: `ssh-keygen -s CA -I ID -n USER`.",
        )
    if certificate.key.public_data != key.public_data:
        raise CredentialsInvalid(f"{where} belongs to another key than `{key_name}` of the same Secret.")
    return certificate


def _parse_password(auth: SecretFiles, data: bytes) -> str:
    try:
        return data.rstrip(b"\r\n").decode()
    except UnicodeDecodeError as error:
        raise CredentialsInvalid(f"Key `{PASSWORD}` of Secret {auth.secret_name} is not valid UTF-8.") from error


def _parse_totp(auth: SecretFiles, data: bytes) -> Totp:
    try:
        return parse_totp(data.decode("ascii"))
    except ValueError as error:
        # A decoder's own words may hold a piece of the secret.
        why = "it is not ASCII" if isinstance(error, UnicodeDecodeError) else str(error)
        raise CredentialsInvalid(
            f"Key `{TOTP_SECRET}` of Secret {auth.secret_name} can't be used: {why}.",
            hint="It must be the base32 secret, or the otpauth URI, that was shown when the second factor was set up.",
        ) from None


def _validity(certificate: SSHOpenSSHCertificate) -> str:
    try:
        certificate.validate(CERT_TYPE_USER, None)
    except ValueError as error:
        return str(error)
    return ""


def _is_host_certificate(certificate: SSHOpenSSHCertificate) -> bool:
    return "type" in _validity(certificate)


def _describe(certificate: SSHOpenSSHCertificate | None) -> str:
    # Not an error by itself: the host may know the bare key, and its clock is the one that counts.
    if certificate is None:
        return ""
    problem = _validity(certificate)
    if "expired" in problem:
        return "certificate, which has expired, and the "
    return "certificate, which is not valid yet, and the " if problem else "certificate and "
