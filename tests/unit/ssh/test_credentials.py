from pathlib import Path

import asyncssh
import pytest

from fairlead_sidecar.config import SecretFiles
from fairlead_sidecar.errors import CredentialsInvalid, CredentialsNotFound
from fairlead_sidecar.ssh.credentials import files_version, load_credentials

KEY = asyncssh.generate_private_key("ssh-ed25519")
RSA = asyncssh.generate_private_key("ssh-rsa")


@pytest.fixture
def secret(tmp_path: Path) -> SecretFiles:
    return SecretFiles(directory=tmp_path, secret_name="web-01-ssh")


def test_a_private_key_is_read(secret: SecretFiles) -> None:
    (secret.directory / "ssh-privatekey").write_bytes(KEY.export_private_key())
    credentials = load_credentials(secret)
    assert credentials.client_keys == (KEY,)
    assert credentials.password is None
    assert KEY.get_fingerprint() in credentials.description


@pytest.mark.parametrize(
    "mangle", [lambda d: d.strip(), lambda d: d.replace(b"\n", b"\r\n"), lambda d: b"\n" + d + b"\n\n"]
)
def test_line_ends_of_a_key_do_not_matter(secret: SecretFiles, mangle: object) -> None:
    assert callable(mangle)
    (secret.directory / "ssh-privatekey").write_bytes(mangle(KEY.export_private_key()))
    assert load_credentials(secret).client_keys == (KEY,)


@pytest.mark.parametrize(("key", "form"), [(KEY, "openssh"), (RSA, "pkcs1-pem"), (RSA, "pkcs8-pem")])
def test_an_encrypted_key_opens_with_its_passphrase_only(secret: SecretFiles, key: asyncssh.SSHKey, form: str) -> None:
    (secret.directory / "ssh-privatekey").write_bytes(key.export_private_key(form, passphrase="right"))
    with pytest.raises(CredentialsInvalid, match="is encrypted and the Secret holds no `passphrase`"):
        load_credentials(secret)
    (secret.directory / "passphrase").write_text("wrong")
    with pytest.raises(CredentialsInvalid, match="the passphrase is wrong") as failure:
        load_credentials(secret)
    assert "wrong" not in failure.value.hint
    (secret.directory / "passphrase").write_text("right\n")
    assert load_credentials(secret).client_keys == (key,)


def test_a_password_loses_its_line_end_only(secret: SecretFiles) -> None:
    (secret.directory / "password").write_text(" s p a c e \n")
    credentials = load_credentials(secret)
    assert credentials.password == " s p a c e "
    assert "s p a c e" not in repr(credentials)


def test_a_certificate_goes_with_its_key(secret: SecretFiles) -> None:
    certificate = RSA.generate_user_certificate(KEY, "test", principals=["deploy"])
    (secret.directory / "ssh-privatekey").write_bytes(KEY.export_private_key())
    (secret.directory / "ssh-certificate").write_bytes(certificate.export_certificate())
    assert load_credentials(secret).client_keys == ((KEY, certificate), KEY)


def test_a_certificate_of_another_key_is_refused(secret: SecretFiles) -> None:
    certificate = RSA.generate_user_certificate(RSA, "test", principals=["deploy"])
    (secret.directory / "ssh-privatekey").write_bytes(KEY.export_private_key())
    (secret.directory / "ssh-certificate").write_bytes(certificate.export_certificate())
    with pytest.raises(CredentialsInvalid, match="belongs to another key"):
        load_credentials(secret)


def test_an_empty_secret_says_what_it_needs(secret: SecretFiles) -> None:
    with pytest.raises(CredentialsNotFound, match="Secret web-01-ssh is missing or holds neither"):
        load_credentials(secret)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("ssh-privatekey", b"", "is no private key that can be read"),
        ("ssh-privatekey", b"ssh-ed25519 AAAA comment", "is no private key that can be read"),
        ("password", b"\xff\xfe", "is not valid UTF-8"),
    ],
)
def test_what_can_not_be_used_names_secret_and_key(
    secret: SecretFiles, name: str, content: bytes, sentence: str
) -> None:
    (secret.directory / name).write_bytes(content)
    with pytest.raises(CredentialsInvalid, match=f"Key `{name}` of Secret web-01-ssh {sentence}"):
        load_credentials(secret)


@pytest.mark.parametrize("content", [b"JBSWY3DPEHPK3PXP\n", b"otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&digits=6"])
def test_a_secret_for_codes_is_read(secret: SecretFiles, content: bytes) -> None:
    (secret.directory / "password").write_text("hunter2")
    (secret.directory / "totp-secret").write_bytes(content)
    credentials = load_credentials(secret)
    assert credentials.totp is not None
    assert credentials.totp.code(0) == "282760"
    assert "totp-secret" in credentials.description
    assert "Hello" not in repr(credentials)


@pytest.mark.parametrize("content", [b"", b"hunter2!", "JBSWY3DPEHPK3PXÖ".encode(), b"\xff\xfe", b"otpauth://hotp/x"])
def test_a_secret_for_codes_of_the_wrong_form_is_named_and_not_shown(secret: SecretFiles, content: bytes) -> None:
    (secret.directory / "password").write_text("hunter2")
    (secret.directory / "totp-secret").write_bytes(content)
    with pytest.raises(CredentialsInvalid, match="Key `totp-secret` of Secret web-01-ssh") as failure:
        load_credentials(secret)
    assert "hunter2!" not in failure.value.message
    assert "JBSW" not in failure.value.message
    assert failure.value.__cause__ is None


def test_a_secret_for_codes_alone_logs_nobody_in(secret: SecretFiles) -> None:
    (secret.directory / "totp-secret").write_text("JBSWY3DPEHPK3PXP")
    with pytest.raises(CredentialsNotFound):
        load_credentials(secret)


def test_every_change_of_the_files_shows(secret: SecretFiles) -> None:
    versions = {files_version(secret.directory)}
    for name in ("ssh-privatekey", "passphrase", "password", "ssh-certificate", "totp-secret"):
        (secret.directory / name).write_text("x")
        versions.add(files_version(secret.directory))
    (secret.directory / "password").unlink()
    versions.add(files_version(secret.directory))
    assert len(versions) == 7
