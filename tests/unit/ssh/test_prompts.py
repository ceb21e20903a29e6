"""What servers ask during a login, and what they are told: one secret once, and nothing that was not understood."""

import pytest

from fairlead_sidecar.ssh.prompts import Answers, Asked, understand

PASSWORD, CODE, BOTH, CHANGE, UNKNOWN = Asked.PASSWORD, Asked.CODE, Asked.BOTH, Asked.CHANGE, Asked.UNKNOWN


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("Password: ", PASSWORD),
        ("deploy@web-01's password: ", PASSWORD),
        ("LDAP Password:", PASSWORD),
        ("Passwort:", PASSWORD),
        ("First Factor: ", PASSWORD),
        ("Verification code: ", CODE),
        ("One-time password (OATH) for `deploy': ", CODE),
        ("OTP: ", CODE),
        ("Enter your OTP:", CODE),
        ("Passcode or option (1-3): ", CODE),
        ("Second Factor (optional): ", CODE),
        ("Enter the 6-digit code from your authenticator app: ", CODE),
        ("Authentication code:", CODE),
        ("Enter MFA token:", CODE),
        ("Password & verification code: ", BOTH),
        ("Password + OTP: ", BOTH),
        ("New password: ", CHANGE),
        ("Retype new password: ", CHANGE),
        ("Current password: ", CHANGE),
        ("(current) UNIX password: ", CHANGE),
        ("Your password has expired. New password:", CHANGE),
        ("PIN: ", UNKNOWN),
        ("Your mother's maiden name?", UNKNOWN),
        ("Are you sure (yes/no)?", UNKNOWN),
        ("", UNKNOWN),
        ("x" * 400 + "password", UNKNOWN),
    ],
)
def test_prompts_are_understood(prompt: str, asked: Asked) -> None:
    assert understand(prompt, "deploy") is asked


def test_the_accounts_name_is_no_part_of_the_question() -> None:
    assert understand("Password for otp: ", "otp") is PASSWORD
    assert understand("token-admin's password: ", "token-admin") is PASSWORD
    assert understand("Password: ", "d") is PASSWORD
    assert understand("deploy@otp.internal's password: ", "deploy") is PASSWORD
    assert understand("Password for deploy@TOKEN.EXAMPLE.COM: ", "deploy") is PASSWORD


def answers(password: str | None = "hunter2", code: str | None = "123456") -> Answers:
    codes = iter([code] if code else [])
    return Answers("deploy", password, (lambda: next(codes, None)) if code else None)


def test_each_prompt_gets_its_own_secret() -> None:
    both = answers()
    assert both.begin()
    assert both.answer(["Verification code: ", "Password: "]) == ["123456", "hunter2"]
    assert both.gave_code
    assert answers().answer(["Password & verification code: "]) == ["hunter2123456"]


def test_a_message_without_a_question_is_acknowledged() -> None:
    assert answers().answer([]) == []


def test_a_conversation_that_begins_anew_was_refused_and_nothing_more_is_given() -> None:
    wrong = answers(code=None)
    assert wrong.begin()
    assert wrong.answer(["Password: "]) == ["hunter2"]
    assert not wrong.begin()
    assert wrong.plain_password() is None


def test_a_password_that_was_taken_in_one_method_serves_the_next() -> None:
    partial = answers()
    assert partial.begin()
    assert partial.answer(["Verification code: "]) == ["123456"]
    assert partial.plain_password() == "hunter2"
    assert partial.plain_password() is None


def test_a_question_without_an_answer_leaves_the_password_for_another_method() -> None:
    either = answers(code=None)
    assert either.begin()
    assert either.answer(["OTP: "]) is None
    assert either.plain_password() == "hunter2"
    assert not either.begin()


def test_a_conversation_that_broke_off_after_the_password_ends_the_login() -> None:
    odd = answers(code=None)
    assert odd.begin()
    assert odd.answer(["Password: "]) == ["hunter2"]
    assert odd.answer(["PIN: "]) is None
    assert odd.plain_password() is None


@pytest.mark.parametrize(
    ("given", "prompts", "problem"),
    [
        (answers(), ["Password: ", "PIN: "], "it asks «PIN: », which is neither"),
        (answers(), ["Password: ", "Password: "], "asks for the password again"),
        (answers(), ["OTP: ", "OTP: "], "asks for a one-time code again"),
        (answers(code=None), ["OTP: "], "there is no `totp-secret`"),
        (answers(password=None), ["Password: "], "there is no `password`"),
        (answers(), ["New password: "], "wants the password changed"),
        (answers(), ["Password: "] * 9, "more than any login needs"),
    ],
)
def test_one_prompt_without_an_answer_leaves_all_without(given: Answers, prompts: list[str], problem: str) -> None:
    assert given.answer(prompts) is None
    assert problem in (given.problem or "")
    assert "hunter2" not in (given.problem or "")


def test_a_server_that_never_ends_asking_is_left() -> None:
    patient = answers()
    assert [patient.answer([]) for _ in range(20)][15:] == [[], None, None, None, None]


def test_a_servers_words_are_quoted_and_cut() -> None:
    given = answers()
    given.answer(["\x1b]0;owned\x07" + "A" * 200_000])
    assert given.problem is not None
    assert "\x1b" not in given.problem
    assert len(given.problem) < 300


def test_no_secret_shows_in_the_repr() -> None:
    assert "hunter2" not in repr(answers())
