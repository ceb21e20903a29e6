"""All output of one command on its way to who asked: masked, kept, excerpted, reported."""

from dataclasses import dataclass

from fairlead_sidecar.ssh.result import Stream
from fairlead_sidecar.tools.excerpt import Excerpt, OutputBuffer
from fairlead_sidecar.tools.progress import LiveOutput
from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.tools.spool import Spooled
from fairlead_sidecar.tools.text import whole_characters

RESULT_BYTES = 500_000
"""What a result can hold of a stream at most: it is sent twice, as structure and as text, in `size.MESSAGE_BYTES`."""
REPORT_BYTES = 32 * 1024
"""What one report on a command in the background holds of each stream; there may be many such commands."""
STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class Report:
    """What came since the last report."""

    stdout: Excerpt
    stderr: Excerpt


class CommandOutput:
    """The sink of one command.

    No stage sees a byte that the stage before it would have masked.

    Args:
        redactor: Masks values.
        spooled: Keeps all of it.
        limit: Bytes that the first report has of each stream at most.
        live: Gets it at once; None: nobody listens.
    """

    def __init__(self, redactor: Redactor, spooled: Spooled, limit: int, live: LiveOutput | None) -> None:
        self.spooled = spooled
        self.live = live
        self.total: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        """Bytes of each stream, masks counted instead of what they hide."""
        self._masked = {stream: redactor.stream() for stream in STREAMS}
        self._since: dict[Stream, OutputBuffer] = {}
        self._begin_report(min(limit, RESULT_BYTES))

    def feed(self, stream: Stream, data: bytes) -> None:
        """Take a piece; see `fairlead_sidecar.ssh.result.Sink`."""
        self._pass_on(stream, self._masked[stream].feed(data))

    def end(self) -> None:
        """There is no more to come."""
        for stream in STREAMS:
            self._pass_on(stream, self._masked[stream].end())

    def report(self, *, ended: bool) -> Report:
        """What came since the last report; a character that is not whole yet goes to the next one unless `ended`."""
        excerpts = {stream: self._since[stream].excerpt() for stream in STREAMS}
        if not ended or any(excerpt.total for excerpt in excerpts.values()):
            self._begin_report(REPORT_BYTES)
        if not ended:
            for stream, excerpt in excerpts.items():
                excerpts[stream] = self._without_half(stream, excerpt)
        return Report(excerpts["stdout"], excerpts["stderr"])

    def _without_half(self, stream: Stream, excerpt: Excerpt) -> Excerpt:
        last = excerpt.tail or excerpt.head
        half = last[whole_characters(last) :]
        if not half:
            return excerpt
        self._since[stream].feed(half)
        kept = last[: -len(half)]
        head, tail = (excerpt.head, kept) if excerpt.tail else (kept, b"")
        return Excerpt(head, tail, excerpt.total - len(half))

    def _begin_report(self, limit: int) -> None:
        self._since = {stream: OutputBuffer(limit) for stream in STREAMS}

    def _pass_on(self, stream: Stream, data: bytes) -> None:
        if not data:
            return
        self.total[stream] += len(data)
        self._since[stream].feed(data)
        self.spooled.write(stream, data)
        if self.live is not None:
            self.live.write(stream, data)
