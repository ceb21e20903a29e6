"""One-time codes: the values of RFC 6238, every form of the secret, each code once."""

import asyncio
import base64

import pytest

from fairlead_sidecar.ssh.totp import Algorithm, OneTimeCodes, Totp, parse_totp

SEED = b"12345678901234567890"
TEXT = base64.b32encode(SEED).decode()


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("algorithm", "length", "at", "code"),
    [  # RFC 6238, appendix B
        ("SHA1", 20, 59, "94287082"),
        ("SHA1", 20, 20000000000, "65353130"),
        ("SHA256", 32, 59, "46119246"),
        ("SHA256", 32, 1234567890, "91819424"),
        ("SHA512", 64, 59, "90693936"),
        ("SHA512", 64, 1111111109, "25091201"),
    ],
)
def test_the_codes_are_those_of_the_standard(algorithm: Algorithm, length: int, at: int, code: str) -> None:
    seed = (SEED * 4)[:length]
    assert Totp(seed, algorithm, digits=8).code(at) == code


@pytest.mark.parametrize(
    "text", [TEXT, TEXT.lower() + "\n", " ".join(TEXT[i : i + 4] for i in range(0, 32, 4)), TEXT + "===="]
)
def test_base32_is_read_as_people_write_it(text: str) -> None:
    assert parse_totp(text) == Totp(SEED)


def test_a_short_secret_is_read() -> None:
    assert parse_totp("JBSWY3DPEHPK3PXP").code(0) == "282760"


def test_an_otpauth_uri_brings_its_parameters() -> None:
    uri = f"otpauth://totp/Shop:deploy%40web-01?secret={TEXT}&issuer=Shop&algorithm=sha256&digits=8&period=60"
    assert parse_totp(uri) == Totp(SEED, "SHA256", 8, 60)
    assert parse_totp(f"otpauth://totp/deploy?secret={TEXT.lower()}") == Totp(SEED)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("not base32 at all!", "neither base32"),
        ("12345678", "neither base32"),
        ("A", "neither base32"),
        (f"otpauth://hotp/x?secret={TEXT}&counter=1", "type totp"),
        ("otpauth://totp/x?issuer=Shop", "`secret` among them"),
        (f"otpauth://totp/x?secret={TEXT}&secret={TEXT}", "each parameter once"),
        (f"otpauth://totp/x?secret={TEXT}&digits=4", "digits must be a number from 6 to 8"),
        (f"otpauth://totp/x?secret={TEXT}&period=0", "period must be"),
        (f"otpauth://totp/x?secret={TEXT}&period=³", "period must be"),
        (f"otpauth://totp/x?secret={TEXT}&algorithm=MD5", "algorithm must be"),
        (f"otpauth://totp/x?secret={TEXT}&broken", "malformed"),
        (f"otpauth://[totp/x?secret={TEXT}", "malformed"),
        ("A" * 5000, "too long"),
    ],
)
def test_what_is_no_secret_is_refused_without_showing_it(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as failure:
        parse_totp(text)
    assert TEXT not in str(failure.value)
    assert failure.value.__cause__ is None


def test_a_secret_does_not_show_in_its_repr() -> None:
    assert "123456" not in repr(Totp(SEED))


def test_a_code_is_handed_out_once() -> None:
    clock, totp = Clock(1000.0), Totp(SEED)
    codes = OneTimeCodes(clock)
    first = codes.take(totp)
    assert first == totp.code(1000)
    clock.now = 1019.9
    assert codes.take(totp) is None
    clock.now = 1020.0
    assert codes.take(totp) == totp.code(1020)


def test_another_secret_has_codes_of_its_own() -> None:
    codes = OneTimeCodes(Clock(1000.0))
    assert codes.take(Totp(SEED)) is not None
    assert codes.take(Totp(b"another one")) is not None


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    clock, totp = Clock(1_000_000.0), Totp(SEED)
    codes = OneTimeCodes(clock)
    codes.take(totp)
    clock.now = 1000.0
    assert codes.take(totp) == totp.code(1000)


async def test_a_turn_waits_for_an_unused_code_and_says_so() -> None:
    totp, codes = Totp(SEED, period=1), OneTimeCodes()
    waits: list[float] = []
    taken = []
    for _ in range(3):
        async with codes.turn(totp, waits.append):
            taken.append(codes.take(totp))
    assert None not in taken
    assert len(waits) >= 2
    assert all(0 < seconds <= 1 for seconds in waits)


async def test_a_secret_is_busy_during_a_turn_and_until_the_next_period() -> None:
    clock, totp = Clock(1000.0), Totp(SEED)
    codes = OneTimeCodes(clock)
    assert not codes.busy(totp)
    async with codes.turn(totp, lambda _seconds: None):
        assert codes.busy(totp)
    assert not codes.busy(totp)
    codes.take(totp)
    assert codes.busy(totp)
    clock.now = 1020.0
    assert not codes.busy(totp)


async def test_turns_with_the_same_secret_follow_one_another() -> None:
    totp, codes, inside = Totp(SEED, period=1), OneTimeCodes(), 0

    async def log_in() -> str | None:
        nonlocal inside
        async with codes.turn(totp, lambda _seconds: None):
            inside += 1
            assert inside == 1
            code = codes.take(totp)
            await asyncio.sleep(0)
            inside -= 1
            return code

    codes_of_all = await asyncio.gather(*(log_in() for _ in range(3)))
    assert None not in codes_of_all


async def test_without_a_secret_nothing_is_waited_for() -> None:
    async with OneTimeCodes().turn(None, lambda _seconds: pytest.fail("waited")):
        pass
