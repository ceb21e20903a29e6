"""Questions that wait for a person's answer."""

import pytest

from fairlead_sidecar.protocol import questions
from fairlead_sidecar.protocol.questions import InvalidRequestState, Questions, Subject

LOGS = Subject.of("uid", "erase", {"what": "logs", "deep": {"b": 1, "a": [2]}})


def test_a_state_gives_back_what_was_asked_and_agreed_to_once() -> None:
    asked = Questions()
    state = asked.ask(LOGS, "Sure?", ("Really?",))
    taken = asked.take(state, Subject.of("uid", "erase", {"deep": {"a": [2], "b": 1}, "what": "logs"}))
    assert taken is not None
    assert (taken.question, taken.agreed, taken.in_time) == ("Sure?", ("Really?",), True)
    assert asked.take(state, LOGS) is None


@pytest.mark.parametrize(
    "other",
    [
        Subject.of("another", "erase", {"what": "logs", "deep": {"b": 1, "a": [2]}}),
        Subject.of("uid", "burn", {"what": "logs", "deep": {"b": 1, "a": [2]}}),
        Subject.of("uid", "erase", {"what": "logs", "deep": {"b": "1", "a": [2]}}),
        Subject.of("uid", "erase", None),
    ],
)
def test_a_state_is_nothing_to_another_call_and_stays_good_for_its_own(other: Subject) -> None:
    asked = Questions()
    state = asked.ask(LOGS, "Sure?")
    assert asked.take(state, other) is None
    assert asked.take(state, LOGS) is not None


def test_a_state_tells_its_holder_nothing_and_no_other_process_anything() -> None:
    state = Questions().ask(LOGS, "Sure?")
    assert "Sure" not in state
    with pytest.raises(InvalidRequestState):
        Questions().take(state, LOGS)


def test_questions_without_end_do_not_fill_memory_nor_push_out_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MAX_OF_OWNER", 3)
    asked = Questions()
    other = Subject.of("another", "erase", None)
    theirs = asked.ask(other, "Sure?")
    states = [asked.ask(LOGS, str(number)) for number in range(5)]
    assert [asked.take(state, LOGS) is not None for state in states] == [False, False, True, True, True]
    assert asked.take(theirs, other) is not None


def test_what_was_never_answered_is_forgotten_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Questions()
    monkeypatch.setattr(questions, "TIMEOUT", -1.0)
    for number in range(10):
        asked.ask(Subject.of(f"uid-{number}", "erase", None), "Sure?")
    assert len(asked._open) == 1


def test_a_late_answer_is_known_as_late(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Questions()
    monkeypatch.setattr(questions, "TIMEOUT", -1.0)
    late = asked.ask(LOGS, "Sure?")
    taken = asked.take(late, LOGS)
    assert taken is not None
    assert not taken.in_time
