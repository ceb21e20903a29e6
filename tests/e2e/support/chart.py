"""The chart, rendered by Helm."""

import json
import subprocess
from typing import Any

import yaml

from tests.cluster.state import REPOSITORY
from tests.e2e.support.kube import Object

CHART = str(REPOSITORY / "charts" / "fairlead")
IMAGES = {
    "image": {"operator": {"repository": "example.com/operator"}, "sidecar": {"repository": "example.com/sidecar"}}
}


class HelmError(AssertionError):
    """Helm refused; the text is what a user reads."""


def helm(program: str, *arguments: str, values: dict[str, Any] | None = None) -> str:
    """Helm's standard output; `values` are given as a values file.

    Raises:
        HelmError: It failed.
    """
    given = ["--values", "-"] if values is not None else []
    result = subprocess.run(
        [program, *arguments, *given],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
        timeout=270,
    )
    if result.returncode:
        raise HelmError(result.stderr.strip())
    return result.stdout


def render(program: str, *, namespace: str = "fairlead-system", **values: Any) -> list[Object]:
    """The objects that the chart makes of these values, the images given."""
    arguments = ["template", "fairlead", CHART, "--namespace", namespace, "--kube-version", "1.31.0"]
    text = helm(program, *arguments, values=IMAGES | values)
    return [document for document in yaml.safe_load_all(text) if document]


def only(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The one object of a kind (and name)."""
    (found,) = (o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"]))
    return found
