import pytest

from tests.unit.operator.golden_files import Golden


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew from what the code makes"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares with, or writes, the golden files."""
    return Golden(update=bool(request.config.getoption("--update-golden", default=False)))
