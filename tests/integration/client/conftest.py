from pathlib import Path

import pytest

from tests.integration.app.conftest import unreachable
from tests.integration.client.person import Person
from tests.integration.sshd import Sshd, SshdFactory, sshd_factory

__all__ = ["sshd_factory", "unreachable"]


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody with an empty ~/.ssh."""
    return Person(tmp_path / "ada")


@pytest.fixture
def sshd(sshd_factory: SshdFactory) -> Sshd:
    """A server with an account of its own: root's start-up files on this machine are nobody's business here."""
    return sshd_factory(username="deploy")
