"""What a server asks for during a login (keyboard-interactive, RFC 4256), and the answers.

The words are a server's own: the verified one's, but nobody else's wisdom. A prompt decides which of the hop's own
secrets is given, never whether another hop's is; what is not understood gets no answer at all.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from fairlead_sidecar.ssh.failures import quoted

MAX_PROMPTS = 8
"""In one request; no server that people log in to asks so much."""
MAX_REQUESTS = 16
"""In one login, empty ones too."""
_LOOKED_AT = 300
"""Characters of a prompt."""

_CODE = re.compile(
    r"one[ -]?time[ -]?(?:password|passcode|pass|code|pin|token)?|verification[ -]?code|\bt?otp\b|passcode|"
    r"(?:authenticat(?:or|ion)|security|login|factor|digit)[ -]codes?|\btoken\b|second[ -]factor|\b[2m]fa\b"
)
_PASSWORD = re.compile(r"passwor[dt]|passphrase|first[ -]factor")
_CHANGE = re.compile(r"\b(?:new|retype|re-enter|repeat|current|old)\b|\bexpired\b")


class Asked(Enum):
    """What a prompt means."""

    PASSWORD = auto()
    CODE = auto()
    BOTH = auto()
    """The password and the code in one line, the code last."""
    CHANGE = auto()
    """A new password."""
    UNKNOWN = auto()


def understand(prompt: str, username: str) -> Asked:
    """What a prompt asks for, as far as its words say."""
    text = prompt[:_LOOKED_AT].lower()
    # Neither «deploy@otp.internal's password:» nor «Password for token-admin:» asks for a code.
    text = re.sub(r"\S*@\S*", "", text)
    text = re.sub(rf"(?<![\w-]){re.escape(username.lower())}(?![\w-])", "", text)
    rest = _CODE.sub("", text)
    code, password = rest != text, bool(_PASSWORD.search(rest))
    if password and _CHANGE.search(rest):
        return Asked.CHANGE
    if code:
        return Asked.BOTH if password else Asked.CODE
    return Asked.PASSWORD if password else Asked.UNKNOWN


@dataclass(slots=True)
class Answers:
    """Answers for one login. Each secret is given once: a server that asks again did not accept it."""

    username: str
    password: str | None = field(repr=False)
    take_code: Callable[[], str | None] | None = field(default=None, repr=False)
    """Gives the present one-time code, or None where it was used before; None: there is no secret for codes."""
    problem: str | None = None
    """What could not be answered; for messages."""
    gave_code: bool = False
    _gave_password: bool = False
    _gave_plain: bool = False
    _in_conversation: bool = False
    _gave_up: bool = False
    _requests: int = 0

    def begin(self) -> bool:
        """A conversation may begin; whether it should."""
        if self._in_conversation:
            # The server offers it anew after it was told everything.
            self._gave_up = True
        self._in_conversation = True
        self._gave_password = False
        return not self._gave_up and (self.password is not None or self.take_code is not None)

    def plain_password(self) -> str | None:
        """The password for the method `password`; None: it was refused, or there is none."""
        if self._gave_up or self._gave_plain:
            return None
        self._gave_plain = True
        return self.password

    def answer(self, prompts: Sequence[str]) -> list[str] | None:
        """The answers to one request; None: at least one prompt has none, and none is given."""
        self._requests += 1
        if len(prompts) > MAX_PROMPTS or self._requests > MAX_REQUESTS:
            self.problem = "it asks more than any login needs"
            return None
        answers = []
        for prompt in prompts:
            answer = self._answer(prompt)
            if answer is None:
                # Where nothing was given, another method may still take the password.
                self._gave_up = self._gave_up or self._gave_password or self.gave_code
                return None
            answers.append(answer)
        return answers

    def refuse_change(self, prompt: str) -> None:
        """The server wants the password changed."""
        self._gave_up = True
        self.problem = f"it wants the password changed ({quoted(prompt)}), which only a person should do"

    def _answer(self, prompt: str) -> str | None:
        asked = understand(prompt, self.username)
        if asked is Asked.CHANGE:
            self.refuse_change(prompt)
            return None
        if asked is Asked.UNKNOWN:
            self.problem = f"it asks {quoted(prompt)}, which is neither a password nor a one-time code"
            return None
        password = "" if asked is Asked.CODE else self._give_password(prompt)
        code = "" if asked is Asked.PASSWORD or password is None else self._give_code(prompt)
        return None if password is None or code is None else password + code

    def _give_password(self, prompt: str) -> str | None:
        if self.password is None:
            self.problem = f"it asks for a password ({quoted(prompt)}), and there is no `password`"
        elif self._gave_password:
            self.problem = f"it asks for the password again ({quoted(prompt)})"
        else:
            self._gave_password = True
            return self.password
        return None

    def _give_code(self, prompt: str) -> str | None:
        if self.take_code is None:
            self.problem = f"it asks for a one-time code ({quoted(prompt)}), and there is no `totp-secret`"
        elif (code := self.take_code()) is None:
            self.problem = f"it asks for a one-time code again ({quoted(prompt)})"
        else:
            self.gave_code = True
            return code
        return None
