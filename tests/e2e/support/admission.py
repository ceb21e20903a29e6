"""What the API server says to an object, without keeping it."""

import copy
import json
from typing import Any

from tests.e2e.support.kube import Kube, KubectlError, Object

REMOVED = object()
"""As a value: the field is taken away."""


def changed(obj: Object, path: str, value: Any) -> Object:
    """A copy of the object in which the field at the dotted path has the value, or is gone."""
    result = copy.deepcopy(obj)
    *parents, field = path.split(".")
    place = result
    for parent in parents:
        place = place.setdefault(parent, {})
    if value is REMOVED:
        del place[field]
    else:
        place[field] = value
    return result


def admitted(kube: Kube, obj: Object) -> Object:
    """The object as the API server would store it, defaults filled in."""
    text = kube.run("apply", "--dry-run=server", "--output=json", "-f", "-", stdin=json.dumps(obj))
    result: Object = json.loads(text)
    return result


def refusal(kube: Kube, obj: Object) -> str:
    """Why the API server refuses the object, as kubectl shows it."""
    try:
        admitted(kube, obj)
    except KubectlError as error:
        return str(error)
    raise AssertionError(f"was admitted: {obj}")
