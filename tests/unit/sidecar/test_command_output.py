"""The way of output from the link to who asked."""

import os
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from fairlead_sidecar.tools.output import REPORT_BYTES, RESULT_BYTES, CommandOutput
from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.tools.spool import CALL_BYTES, Spool

SECRET = b"hunter2hunter2"


@pytest.fixture
def spool() -> Iterator[Spool]:
    spool = Spool()
    yield spool
    spool.close()


def output(spool: Spool, limit: int = 1000) -> CommandOutput:
    return CommandOutput(Redactor([SECRET]), spool.open("a"), limit, None)


def test_each_stream_is_masked_on_its_own_and_both_are_kept(spool: Spool) -> None:
    out = output(spool)
    for stream, data in (("stdout", SECRET[:7]), ("stderr", b"-"), ("stdout", SECRET[7:]), ("stderr", SECRET[:7])):
        out.feed(stream, data)  # type: ignore[arg-type] # literals
    out.end()
    report = out.report(ended=True)
    assert (report.stdout.content(), report.stderr.content()) == (b"[redacted]", b"-" + SECRET[:7])
    assert out.spooled.read("stdout", 0, 100) == b"[redacted]"
    assert out.spooled.read("stderr", 0, 100) == b"-" + SECRET[:7]
    assert out.total == {"stdout": 10, "stderr": 8}


def test_a_report_has_what_came_since_the_last_one_in_whole_characters(spool: Spool) -> None:
    out = output(spool)
    out.feed("stdout", b"one " + "€".encode()[:2])
    assert out.report(ended=False).stdout.content() == b"one "
    out.feed("stdout", "€".encode()[2:] + b" two\n")
    assert out.report(ended=False).stdout.content() == "€ two\n".encode()
    assert out.report(ended=False).stdout.content() == b""
    out.feed("stdout", b"\xe2")
    out.end()
    assert out.report(ended=True).stdout.content() == b"\xe2"


def test_later_reports_are_bounded_and_say_what_they_leave_out(spool: Spool) -> None:
    out = output(spool, limit=100)
    out.feed("stdout", b"x" * 1000)
    assert out.report(ended=False).stdout.size == 100
    out.feed("stdout", b"y" * 1_000_000)
    report = out.report(ended=False).stdout
    assert (report.size, report.omitted) == (REPORT_BYTES, 1_000_000 - REPORT_BYTES)


def test_a_gigabyte_costs_little_memory_and_a_hundred_megabytes_little_time(spool: Spool) -> None:
    out = output(spool, limit=RESULT_BYTES)
    piece = os.urandom(32 * 1024)
    started = time.process_time()
    for _ in range(100_000_000 // len(piece)):
        out.feed("stdout", piece)
    assert time.process_time() - started < 0.8
    tracemalloc.start()
    for _ in range(50_000_000 // len(piece)):
        out.feed("stdout", piece)
        out.feed("stderr", piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
    assert out.spooled.total == CALL_BYTES
