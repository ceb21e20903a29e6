from datetime import UTC, datetime

import pytest

from fairlead_api.auth import KeyAlgorithm
from fairlead_operator.credentials.keys import generate_key_pair
from fairlead_operator.credentials.krl import revocation_list

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LARGEST = 2**64 - 1


def public_key() -> str:
    return generate_key_pair(KeyAlgorithm.ED25519, "ca").public


def test_the_same_content_gives_the_same_bytes() -> None:
    one, other = public_key(), public_key()
    first = revocation_list({one: [1, 2], other: [3]}, [one, other], version=1, generated=NOW)
    second = revocation_list({other: {3}, one: (2, 1)}, [other, one, one], version=1, generated=NOW)
    assert first == second


@pytest.mark.parametrize("serial", [0, -1, LARGEST + 1])
def test_a_serial_that_would_spoil_the_whole_list_is_refused(serial: int) -> None:
    with pytest.raises(ValueError, match="serial"):
        revocation_list({public_key(): [1, serial]}, version=1, generated=NOW)
