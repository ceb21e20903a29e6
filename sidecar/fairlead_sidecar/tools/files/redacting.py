"""Values of `policy.redact` in the content of files."""

from fairlead_sidecar.tools.redact import MASK, Redactor


def redacted(redactor: Redactor, data: bytes, *, before: bytes = b"", after: bytes = b"") -> tuple[bytes, bool]:
    """A piece of a file with every value masked, and whether there was one; the number of its lines stays.

    Args:
        before: What stands before the piece, so that a value which its beginning cuts in two is found.
        after: What stands behind it.
    """
    if not redactor:
        return data, False
    pieces: list[bytes] = []
    position = 0
    for first, last in redactor.spans(before + data + after):
        start, end = max(0, first - len(before)), min(len(data), last - len(before))
        if start < end:
            pieces += [data[position:start], MASK, b"\n" * data.count(b"\n", start, end)]
            position = end
    return b"".join([*pieces, data[position:]]), bool(pieces)
