"""The last look at what a tool gives."""

from fairlead_sidecar.errors import HostUnreachable
from fairlead_sidecar.tools.command_result import CommandResult, Status
from fairlead_sidecar.tools.masking import masked, masked_error
from fairlead_sidecar.tools.redact import Redactor

REDACTOR = Redactor([b"hunter2hunter2"])


def result(stdout: str) -> CommandResult:
    return CommandResult(
        host="web-01", status=Status.ENDED, exit_code=0, stdout=stdout, stderr="", duration_seconds=1.0
    )


def test_a_result_without_a_value_stays_the_same_object() -> None:
    plain = result("plain")
    assert masked(REDACTOR, plain) is plain
    assert masked(Redactor(), plain) is plain


def test_a_value_in_a_result_is_masked_and_its_form_stays() -> None:
    assert masked(REDACTOR, result("a hunter2hunter2 b")) == result("a [redacted] b")


def test_what_an_error_quotes_of_the_host_is_masked_and_made_visible() -> None:
    error = masked_error(REDACTOR, HostUnreachable("the host said \x1b[8mhunter2hunter2", hint="look\u202e"))
    assert (error.message, error.hint) == ("the host said ␛[8m[redacted]", "look\\u202e")
    assert "hunter2" not in repr(error)


def test_a_result_leaves_out_what_is_as_usual() -> None:
    assert result("x").model_dump(mode="json") == {
        "host": "web-01",
        "status": "ended",
        "exit_code": 0,
        "stdout": "x",
        "stderr": "",
        "duration_seconds": 1.0,
    }
