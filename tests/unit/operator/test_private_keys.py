"""Reading private keys: what one namespace writes into a Secret must not hold up the operator for the others."""

import base64
import re
import struct
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fairlead_operator.credentials.certificates import CertificateRequest, facts, load_signer, sign
from fairlead_operator.credentials.keys import public_line
from fairlead_operator.credentials.private_keys import MOST_CHARACTERS, load_private_key

AT_ONCE = 1.0
"""Seconds of processor time; what is refused, or read, here took minutes or forever before there were bounds."""
KEY = ed25519.Ed25519PrivateKey.generate()
BEGIN, END = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"


def text(
    key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    form: PrivateFormat,
    passphrase: bytes = b"",
) -> str:
    """A key as somebody writes it."""
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, protection).decode()


def mersenne(first: int, second: int) -> rsa.RSAPrivateKey:
    """An RSA key of two well-known primes: to prove that they are takes long, to write them down does not."""
    p, q, e = 2**first - 1, 2**second - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q))
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def with_rounds(rounds: int, *, disguise: str = "") -> str:
    """An encrypted key in OpenSSH's format that says another number of rounds than it was made with."""
    made = text(KEY, PrivateFormat.OpenSSH, b"secret")
    body = base64.b64decode("".join(made.split("\n")[1:-2]))
    options = re.search(rb"bcrypt\x00\x00\x00\x18\x00\x00\x00\x10.{16}", body, re.DOTALL)
    assert options is not None
    changed = body[: options.end()] + struct.pack(">I", rounds) + body[options.end() + 4 :]
    return f"{BEGIN}\n{disguise}{base64.b64encode(changed).decode()}\n{END}\n"


@pytest.mark.parametrize("form", [PrivateFormat.OpenSSH, PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_a_huge_rsa_key_is_refused_at_once(form: PrivateFormat) -> None:
    huge, before = text(mersenne(4423, 9689), form), time.process_time()
    with pytest.raises(ValueError, match="14112 bits"):
        load_private_key(huge)
    with pytest.raises(ValueError, match="no unencrypted"):
        public_line(huge, "")
    assert time.process_time() - before < AT_ONCE


def test_a_large_rsa_key_is_read_without_proving_it() -> None:
    large, before = text(mersenne(2203, 4423), PrivateFormat.OpenSSH), time.process_time()
    assert public_line(large, "comment").startswith("ssh-rsa ")
    assert time.process_time() - before < AT_ONCE


@pytest.mark.parametrize("disguise", ["", "-----", "!?"], ids=["plain", "dashes within", "noise"])
def test_a_passphrase_with_millions_of_rounds_is_refused_at_once(disguise: str) -> None:
    before = time.process_time()
    with pytest.raises(ValueError, match="rounds"):
        load_private_key(with_rounds(2**31, disguise=disguise), "secret")
    assert time.process_time() - before < AT_ONCE


def test_a_derivation_that_nobody_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="another format"):
        load_private_key(text(KEY, PrivateFormat.PKCS8, b"secret"), "secret")


def test_endless_text_is_no_key() -> None:
    with pytest.raises(ValueError, match="longer"):
        load_private_key(text(KEY, PrivateFormat.OpenSSH) + " " * MOST_CHARACTERS)


def test_a_compressed_point_is_no_key_and_nothing_worse() -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    made = text(curve, PrivateFormat.OpenSSH).split("\n")
    body = base64.b64decode("".join(made[1:-2]))
    point = curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    compressed = base64.b64encode(body.replace(point, b"\x02" + point[1:])).decode()
    with pytest.raises(ValueError, match="unknown kind"):
        load_private_key(f"{BEGIN}\n{compressed}\n{END}\n")
    signer = load_signer(text(curve, PrivateFormat.OpenSSH))
    request = CertificateRequest(signer.public_key, "id", ("deploy",), timedelta(hours=1))
    kind, blob = sign(signer, request, serial=1, now=datetime.now(UTC)).split()[:2]
    damaged = base64.b64encode(base64.b64decode(blob).replace(point, b"\x02" + point[1:])).decode()
    with pytest.raises(ValueError, match="SSH certificate"):
        facts(f"{kind} {damaged}")


def test_a_passphrase_opens_what_ssh_keygen_makes() -> None:
    encrypted = text(KEY, PrivateFormat.OpenSSH, b"secret")
    opened = load_private_key(encrypted, "secret")
    assert opened.public_key() == KEY.public_key()
    with pytest.raises(ValueError, match="with this passphrase"):
        load_private_key(encrypted, "another")
    with pytest.raises(ValueError, match="is encrypted, and its passphrase is not there"):
        load_private_key(encrypted)


def test_a_public_key_is_told_apart_from_a_broken_private_one() -> None:
    with pytest.raises(ValueError, match="is no private key, which begins with -----BEGIN"):
        load_private_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl")
