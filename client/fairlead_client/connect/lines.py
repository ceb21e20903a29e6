"""Cuts what comes in pieces into lines."""


class Lines:
    """Bytes in, whole lines out; none may be of any particular length."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that end within a piece, without their ends; blank ones are left out."""
        *ends, rest = piece.split(b"\n")
        lines = []
        for end in ends:
            lines.append(b"".join([*self._begun, end]).strip())
            self._begun.clear()
        if rest:
            self._begun.append(rest)
        return [line for line in lines if line]
