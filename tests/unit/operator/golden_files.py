"""Golden files: `golden/<case>/host.yaml` or `token.yaml` is the input, the other files are what is made of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).parent / "golden"


def cases(kind: str) -> list[str]:
    """The names of the cases with an input of this kind."""
    return sorted(path.parent.name for path in DIRECTORY.glob(f"*/{kind}.yaml"))


def load(case: str, name: str) -> Any:
    """One file, None where it is absent."""
    path = DIRECTORY / case / f"{name}.yaml"
    return yaml.safe_load(path.read_text()) if path.exists() else None


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice, as a person would."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@dataclass(frozen=True)
class Golden:
    """Compares, or with `pytest --update-golden` writes."""

    update: bool

    def check(self, case: str, name: str, made: Any) -> None:
        """`made` must be what the file says; None: there must be no file."""
        path = DIRECTORY / case / f"{name}.yaml"
        if self.update:
            if made is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(yaml.dump(made, Dumper=_Plain, sort_keys=False, width=100))
        assert made == load(case, name), f"{case}/{name}.yaml is another: look at the difference, then --update-golden"
