"""What the documentation tells people to apply is read by the API's models."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead_api import API_VERSION, McpToken, RemoteHost, SSHCertificateAuthority
from tests.unit.api.objects import PUBLIC_KEY

REPOSITORY = Path(__file__).parents[3]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
MODELS = {model.KIND: model for model in (RemoteHost, McpToken, SSHCertificateAuthority)}


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of ours in a YAML block, with the page that shows it."""
    for page in PAGES:
        # The key is the one thing that a reader must fill in.
        text = page.read_text().replace("ssh-ed25519 AAAA…", PUBLIC_KEY)
        for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
            for obj in yaml.safe_load_all(block):
                if isinstance(obj, dict) and obj.get("kind") in MODELS:
                    yield page.name, obj


EXAMPLES = [pytest.param(obj, id=f"{page}-{obj['kind']}") for page, obj in examples()]


def test_the_documentation_shows_every_kind() -> None:
    assert {obj["kind"] for _, obj in examples()} == set(MODELS)


@pytest.mark.parametrize("obj", EXAMPLES)
def test_an_example_is_a_valid_object(obj: dict[str, Any]) -> None:
    assert obj["apiVersion"] == API_VERSION
    MODELS[obj["kind"]].model_validate(obj)
