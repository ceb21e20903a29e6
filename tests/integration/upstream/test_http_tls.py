"""MCP servers on HTTPS: the certificate is verified for the URL's host name."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fairlead_sidecar.upstream.errors import UpstreamError
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd
from tests.integration.upstream.http_servers import Seen, http_server, mcp_app, serving, session_with
from tests.integration.upstream.local_wire import call, text


class Certificate:
    """A self-signed certificate for `localhost`, not for 127.0.0.1, and its key, as files."""

    def __init__(self, directory: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.file, self.key = directory / "tls.crt", directory / "tls.key"
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    @property
    def settings(self) -> dict[str, Any]:
        """For uvicorn."""
        return {"ssl_certfile": str(self.file), "ssl_keyfile": str(self.key)}


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path)


@pytest.mark.parametrize("kind", ["stream", "json", "sse"])
async def test_a_certificate_of_an_authority_in_ssl_cert_file_is_trusted(
    kind: str, certificate: Certificate, sshd: Sshd, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    link = start_link(sshd.sidecar_config()).link
    path = "sse" if kind == "sse" else "mcp"
    async with (
        serving(mcp_app(kind, Seen()), **certificate.settings) as port,
        session_with(link, http_server(port, kind, url=f"https://localhost:{port}/{path}")) as session,
    ):
        assert text(await session.request("tools/call", call("noop"))) == "ok"
        assert len(text(await session.request("tools/call", call("big", size=3_000_000)))) > 2_900_000


async def test_a_certificate_of_a_stranger_is_refused(
    certificate: Certificate, sshd: Sshd, start_link: StartLink
) -> None:
    link, seen = start_link(sshd.sidecar_config()).link, Seen()
    async with serving(mcp_app("json", seen), **certificate.settings) as port:
        with pytest.raises(UpstreamError, match=r"The TLS certificate of localhost:.* is not trusted: «self-signed"):
            async with session_with(link, http_server(port, url=f"https://localhost:{port}/mcp")):
                pass
    assert seen.requests == []


async def test_a_certificate_for_another_name_is_refused(
    certificate: Certificate, sshd: Sshd, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    link, seen = start_link(sshd.sidecar_config()).link, Seen()
    async with serving(mcp_app("json", seen), **certificate.settings) as port:
        with pytest.raises(UpstreamError, match=r"is not trusted: .*mismatch"):
            async with session_with(link, http_server(port, url=f"https://127.0.0.1:{port}/mcp")):
                pass
    assert seen.requests == []


async def test_a_server_without_tls_is_said_to_have_none(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with serving(mcp_app("json", Seen())) as port:
        with pytest.raises(UpstreamError, match="TLS handshake") as raised:
            async with session_with(link, http_server(port, url=f"https://127.0.0.1:{port}/mcp")):
                pass
    assert "http://" in (raised.value.hint or "")
