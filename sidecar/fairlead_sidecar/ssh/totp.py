"""One-time codes (TOTP, RFC 6238). A code is good for one login only, so each is handed out once."""

import asyncio
import base64
import binascii
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.twofactor.totp import TOTP

Algorithm = Literal["SHA1", "SHA256", "SHA512"]
_HASHES: dict[str, type[hashes.SHA1 | hashes.SHA256 | hashes.SHA512]] = {
    "SHA1": hashes.SHA1,
    "SHA256": hashes.SHA256,
    "SHA512": hashes.SHA512,
}
_MAX_TEXT = 2048
_MAX_PERIOD = 300


@dataclass(frozen=True, slots=True)
class Totp:
    """What the codes of one account are made from."""

    secret: bytes = field(repr=False)
    algorithm: Algorithm = "SHA1"
    digits: int = 6
    period: int = 30
    """Seconds."""

    def code(self, at: float) -> str:
        """The code of the period that holds the Unix time `at`."""
        # Many services hand out secrets of 80 bits, less than the library recommends.
        totp = TOTP(self.secret, self.digits, _HASHES[self.algorithm](), self.period, enforce_key_length=False)
        return totp.generate(int(at)).decode()


def parse_totp(text: str) -> Totp:
    """Read a secret: base32 as shown by those who set it up, or the whole `otpauth://totp/…` URI of the QR code.

    Raises:
        ValueError: It is neither; the message holds nothing of the secret.
    """
    text = text.strip()
    if len(text) > _MAX_TEXT:
        raise ValueError("it is too long")
    if not text.lower().startswith("otpauth:"):
        return Totp(_base32(text))
    try:
        uri = urlsplit(text)
        values = parse_qs(uri.query, strict_parsing=True, max_num_fields=20)
    except ValueError:
        # From None: the library's own words may hold the secret.
        raise ValueError("the otpauth URI is malformed") from None
    if uri.netloc.lower() != "totp":
        raise ValueError("the otpauth URI is not of the type totp")
    if any(len(given) != 1 for given in values.values()) or "secret" not in values:
        raise ValueError("the otpauth URI must have each parameter once, `secret` among them")
    algorithm = values.get("algorithm", ["SHA1"])[0].upper()
    if algorithm not in get_args(Algorithm):
        raise ValueError("the otpauth URI's algorithm must be SHA1, SHA256 or SHA512")
    return Totp(
        secret=_base32(values["secret"][0]),
        algorithm=algorithm,  # type: ignore[arg-type]  # one of the literals, as was just checked
        digits=_number(values, "digits", 6, 6, 8),
        period=_number(values, "period", 30, 1, _MAX_PERIOD),
    )


class OneTimeCodes:
    """Hands out each code once, and to one login at a time. One for all logins to a host.

    Servers refuse a code that was used before, and some lock the account then.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._used: dict[Totp, int] = {}
        """The number of the last period whose code was handed out."""
        self._turns: dict[Totp, asyncio.Lock] = {}

    @asynccontextmanager
    async def turn(self, totp: Totp | None, on_wait: Callable[[float], None]) -> AsyncIterator[None]:
        """The time of one login: begins when there is an unused code, and no other login may take it meanwhile.

        Args:
            totp: None: no code is needed, nothing is waited for.
            on_wait: Told for how many seconds it waits, where it does.
        """
        if totp is None:
            yield
            return
        async with self._turns.setdefault(totp, asyncio.Lock()):
            while (seconds := self._seconds_until_unused(totp)) > 0:
                on_wait(seconds)
                await asyncio.sleep(seconds)
            yield

    def busy(self, totp: Totp) -> bool:
        """Whether a turn would have to be waited for now."""
        turn = self._turns.get(totp)
        return (turn is not None and turn.locked()) or self._seconds_until_unused(totp) > 0

    def take(self, totp: Totp) -> str | None:
        """The present code, from now on a used one; None where it has been used."""
        if self._seconds_until_unused(totp) > 0:
            return None
        now = self._clock()
        self._used[totp] = int(now // totp.period)
        return totp.code(now)

    def _seconds_until_unused(self, totp: Totp) -> float:
        last = self._used.get(totp)
        if last is None:
            return 0.0
        seconds = (last + 1) * totp.period - self._clock()
        # More than one period ahead: the clock was set back, and what it said before means nothing.
        return 0.0 if seconds > 2 * totp.period else max(0.0, seconds)


def _base32(text: str) -> bytes:
    # Shown in groups of four, in either case, with or without padding.
    compact = "".join(text.split()).replace("-", "").rstrip("=").upper()
    try:
        secret = base64.b32decode(compact + "=" * (-len(compact) % 8))
    except (binascii.Error, ValueError):
        raise ValueError("it is neither base32 (letters A to Z and digits 2 to 7) nor an otpauth URI") from None
    if not secret:
        raise ValueError("it is empty")
    return secret


def _number(values: dict[str, list[str]], name: str, default: int, low: int, high: int) -> int:
    text = values.get(name, [str(default)])[0]
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise ValueError(f"the otpauth URI's {name} must be a number from {low} to {high}")
    return int(text)
