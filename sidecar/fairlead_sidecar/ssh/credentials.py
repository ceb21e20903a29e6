"""The credentials of a login, read afresh from the mounted Secret each time."""

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
KEYS = (PRIVATE_KEY, PASSPHRASE, CERTIFICATE, PASSWORD, TOTP_SECRET)

FilesVersion = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login offers to the server."""

    client_keys: tuple[asyncssh.SSHKey | tuple[asyncssh.SSHKey, asyncssh.SSHCertificate], ...]
    password: str | None = field(repr=False)
    totp: Totp | None
    description: str
    """For messages: which credentials these are, with the fingerprint of a key, never a secret."""


def load_credentials(auth: SecretFiles) -> Credentials:
    """Read the mounted Secret.

    Blocks (an encrypted key takes tens of milliseconds to open): call it from a thread.

    Raises:
        CredentialsNotFound: The Secret is not there or holds neither a private key nor a password.
        CredentialsInvalid: One of its keys can't be used; the message names it.
    """
    private_key = _read(auth, PRIVATE_KEY)
    password = _read(auth, PASSWORD)
    totp_secret = _read(auth, TOTP_SECRET)
    if private_key is None and password is None:
        raise CredentialsNotFound(
            f"Secret {auth.secret_name} is missing or holds neither `{PRIVATE_KEY}` nor `{PASSWORD}`."
        )
    keys: list[asyncssh.SSHKey | tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]] = []
    descriptions = []
    if private_key is not None:
        key = _parse_key(auth, private_key, _read(auth, PASSPHRASE))
        certificate = _parse_certificate(auth, key, _read(auth, CERTIFICATE))
        # With a certificate the bare key is offered too, as ssh does: the host may know either.
        keys = [(key, certificate), key] if certificate else [key]
        descriptions.append(
            f"the {_describe(certificate)}private key {key.get_fingerprint()} "
            f"(Secret {auth.secret_name}, key `{PRIVATE_KEY}`)"
        )
    if password is not None:
        descriptions.append(f"the password (Secret {auth.secret_name}, key `{PASSWORD}`)")
    if totp_secret is not None:
        descriptions.append(f"one-time codes (Secret {auth.secret_name}, key `{TOTP_SECRET}`)")
    return Credentials(
        client_keys=tuple(keys),
        password=None if password is None else _parse_password(auth, password),
        totp=None if totp_secret is None else _parse_totp(auth, totp_secret),
        description=" and ".join(descriptions),
    )


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


def _read(auth: SecretFiles, name: str) -> bytes | None:
    path = auth.directory / name
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CredentialsInvalid(
            f"Key `{name}` of Secret {auth.secret_name} can't be read: {error.strerror}."
        ) from error


def _parse_key(auth: SecretFiles, data: bytes, passphrase: bytes | None) -> asyncssh.SSHKey:
    where = f"Key `{PRIVATE_KEY}` of Secret {auth.secret_name}"
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


def _parse_certificate(auth: SecretFiles, key: asyncssh.SSHKey, data: bytes | None) -> SSHOpenSSHCertificate | None:
    if data is None:
        return None
    where = f"Key `{CERTIFICATE}` of Secret {auth.secret_name}"
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
        raise CredentialsInvalid(f"{where} belongs to another key than `{PRIVATE_KEY}` of the same Secret.")
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
