"""What the Secret with a host's certificates stands for."""

from datetime import UTC, datetime, timedelta

from fairlead_api.auth import KeyAlgorithm
from fairlead_operator.credentials.certificates import CertificateRequest, load_signer, sign
from fairlead_operator.credentials.held import CERTIFICATE, ISSUED, read_held
from fairlead_operator.credentials.keys import PRIVATE_KEY, KeyPair, generate_key_pair
from fairlead_operator.reconcile.certificate_plan import Terms
from fairlead_operator.reconcile.issued import IssuedCertificate, in_force, read_issued, write_issued

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def pair() -> KeyPair:
    return generate_key_pair(KeyAlgorithm.ED25519, "test")


def certificate(key: KeyPair) -> str:
    request = CertificateRequest(
        public_key=key.public,
        key_id="shop/web-01/pod-1",
        principals=("deploy", "web"),
        validity=timedelta(minutes=30),
        source_addresses=("10.0.0.0/8", "2001:db8::/32"),
        port_forwarding=True,
    )
    return sign(load_signer(pair().private), request, serial=7, now=NOW)


def test_a_certificate_is_read_back_with_the_terms_that_it_was_issued_under() -> None:
    key = pair()
    held = read_held({PRIVATE_KEY: key.private, CERTIFICATE: certificate(key)}).present.current
    assert held is not None
    assert held.serial == 7
    assert held.expires == NOW.replace(microsecond=0) + timedelta(minutes=30)
    assert held.terms == Terms(
        key_id="shop/web-01/pod-1",
        principals=frozenset({"deploy", "web"}),
        validity=timedelta(minutes=30),
        source_addresses=frozenset({"10.0.0.0/8", "2001:db8::/32"}),
        port_forwarding=True,
    )


def test_what_nobody_could_log_in_with_counts_as_no_certificate() -> None:
    key = pair()
    for content in (
        {},
        {PRIVATE_KEY: key.private},
        {CERTIFICATE: certificate(key)},
        {PRIVATE_KEY: pair().private, CERTIFICATE: certificate(key)},
        {PRIVATE_KEY: key.private, CERTIFICATE: key.public},
        {PRIVATE_KEY: "", CERTIFICATE: certificate(key)},
    ):
        assert read_held(content).present.current is None, content.keys()


def test_what_was_issued_is_kept_until_it_is_over() -> None:
    some = IssuedCertificate(2**53 - 1, NOW.replace(microsecond=0) + timedelta(hours=1), "SHA256:a")
    over = IssuedCertificate(5, NOW.replace(microsecond=0) - timedelta(hours=1), "SHA256:a")
    issued = read_issued(write_issued([over, some]))
    assert issued == (over, some)
    assert in_force(issued, NOW) == (some,)
    assert read_held({ISSUED: write_issued([some])}).issued == (some,)


def test_a_list_that_somebody_broke_counts_as_empty() -> None:
    for text in ("", "{}", "[1]", "null", '[{"serial": "x"}]', '[{"serial": 1, "expires": 1e40, "authority": "a"}]'):
        assert read_issued(text) == ()
