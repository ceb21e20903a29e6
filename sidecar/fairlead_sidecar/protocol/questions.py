"""Answers of people to questions, in the protocol era without sessions: bound, sealed, used once.

A call that needs a person's consent is answered with the question and a state that only this process can read. The
client sends the same call again with the answer and that state. The state names who asked for what, so an answer given
for one call is worth nothing for another: that one is asked about anew.
"""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState

TIMEOUT = 300.0
"""Seconds that a person has to answer."""
MAX_OF_OWNER = 64
"""Questions of one owner that wait for an answer at most; beyond that its oldest are forgotten, and asked anew."""

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True)
class Subject:
    """What a question is about: the caller, and the call with exactly these arguments."""

    owner: str
    tool: str
    arguments_digest: str

    @classmethod
    def of(cls, owner: str, tool: str, arguments: Mapping[str, Any] | None) -> "Subject":
        """The subject of one call."""
        return cls(owner, tool, hashlib.sha256(_canonical(arguments or {}).encode()).hexdigest())


@dataclass(frozen=True)
class Asked:
    """A question that came back with an answer."""

    question: str
    agreed: tuple[str, ...]
    """What they agreed to for the same call before."""
    in_time: bool


class Questions:
    """The questions that were asked and not answered yet."""

    def __init__(self) -> None:
        self._codec = AESGCMRequestStateCodec([os.urandom(32)])
        self._open: dict[str, dict[str, float]] = {}
        """The deadline of each question, oldest first, by owner."""

    def ask(self, subject: Subject, question: str, agreed: tuple[str, ...] = ()) -> str:
        """Note a question; the sealed state that has to come back with its answer.

        Args:
            agreed: What they agreed to for this call already.
        """
        self._forget(subject.owner)
        number, deadline = secrets.token_hex(16), time.monotonic() + TIMEOUT
        self._open.setdefault(subject.owner, {})[number] = deadline
        state = {
            "subject": _listed(subject),
            "question": question,
            "agreed": agreed,
            "number": number,
            "deadline": deadline,
        }
        return self._codec.seal(json.dumps(state).encode())

    def take(self, state: str, subject: Subject) -> Asked | None:
        """The question that a state stands for; it can't be taken again.

        None where the question was about another call, or was answered already.

        Raises:
            InvalidRequestState: The state was not made here.
        """
        claims = json.loads(self._codec.unseal(state))
        if claims["subject"] != _listed(subject):
            return None
        in_time = time.monotonic() < claims["deadline"]
        if self._open.get(subject.owner, {}).pop(claims["number"], None) is None and in_time:
            return None
        return Asked(claims["question"], tuple(claims["agreed"]), in_time)

    def _forget(self, owner: str) -> None:
        now = time.monotonic()
        for name, questions in list(self._open.items()):
            most = MAX_OF_OWNER - 1 if name == owner else MAX_OF_OWNER
            while questions and (len(questions) > most or next(iter(questions.values())) <= now):
                del questions[next(iter(questions))]
            if not questions:
                del self._open[name]


def _listed(subject: Subject) -> list[str]:
    return [subject.owner, subject.tool, subject.arguments_digest]


__all__ = ["TIMEOUT", "InvalidRequestState", "Questions", "Subject"]
