from pathlib import Path

import pytest

from tests.integration.client.person import Person
from tests.integration.sshd import sshd, sshd_factory

__all__ = ["sshd", "sshd_factory"]


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody with an empty ~/.ssh."""
    return Person(tmp_path / "ada")
