"""What every section gives to the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.stats import table

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Target:
    """One figure that was promised."""

    figure: str
    target: str
    measured: str
    met: bool
    about_peers: bool = False


@dataclass(frozen=True)
class Result:
    """A part of the page."""

    title: str
    text: str
    """How it was measured, in Markdown."""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    """Why a cell is empty."""
    targets: tuple[Target, ...] = ()

    def page(self) -> str:
        """Markdown."""
        parts = [f"## {self.title}", self.text, table(self.header, self.rows)]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts)


Measured = Sequence[float | None]
"""One value for each way of Fairlead's that the figure applies to; None: it has none, which misses any target."""


def at_most(figure: str, limit: float, measured: Measured, unit: str = "", digits: int = 2) -> Target:
    """A target that no measured value may exceed."""
    met = all(value is not None and value <= limit for value in measured)
    return Target(figure, f"≤ {limit:g}{unit}", _written(measured, unit, digits), met)


def at_least(figure: str, limit: float, measured: Measured, unit: str = "", digits: int = 2) -> Target:
    """A target that every measured value must reach."""
    met = all(value is not None and value >= limit for value in measured)
    return Target(figure, f"≥ {limit:g}{unit}", _written(measured, unit, digits), met)


def none_lost(figure: str, lost: Sequence[int | None]) -> Target:
    """The target that every call is answered."""
    return Target(figure, "0", _written(lost, "", 0), met=all(number == 0 for number in lost))


def ahead(figure: str, ours: Measured, theirs: Sequence[float], unit: str = "", *, more: bool = False) -> Target:
    """The target to be ahead of every peer that has the figure: with a smaller one, or a larger one where `more`."""
    best = (max(theirs) if more else min(theirs)) if theirs else None
    digits = 2 if best is None or best < 10 else 0
    met = all(value is not None and (best is None or (value > best if more else value < best)) for value in ours)
    target = "best peer " + (NOTHING if best is None else f"{best:.{digits}f}{unit}")
    return Target(f"{figure}, ahead of every peer", target, _written(ours, unit, digits), met, about_peers=True)


def _written(values: Measured, unit: str, digits: int) -> str:
    return " / ".join(NOTHING if value is None else f"{value:.{digits}f}" for value in values) + unit
