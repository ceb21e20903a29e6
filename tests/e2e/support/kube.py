"""The cluster as a user works with it: kubectl for what is applied, its JSON for what is read."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import yaml

from tests.e2e.support.waiting import PATIENCE, wait_until

Object = dict[str, Any]


class KubectlError(AssertionError):
    """Kubectl refused; the text is what a user reads."""


@dataclass(frozen=True)
class Kube:
    """One cluster, through kubectl."""

    kubectl: str
    kubeconfig: str

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 120) -> str:
        """Kubectl's standard output.

        Raises:
            KubectlError: It failed and `check` is set.
        """
        result = subprocess.run(
            [self.kubectl, "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and result.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def apply(self, *objects: Object) -> None:
        """Apply objects as a user would."""
        self.run("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def refused(self, obj: Object) -> str:
        """Apply an object that must be refused, and return the reason given."""
        try:
            self.apply(obj)
        except KubectlError as error:
            return str(error)
        raise AssertionError(f"was accepted: {obj}")

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None where there is none."""
        scope = ["-n", namespace] if namespace else []
        text = self.run("get", kind, name, *scope, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, namespace: str, selector: str = "") -> list[Object]:
        """All objects of a kind in a namespace."""
        labels = ["-l", selector] if selector else []
        items: list[Object] = json.loads(self.run("get", kind, "-n", namespace, *labels, "-o", "json"))["items"]
        return items

    def delete(self, kind: str, name: str, namespace: str, *, wait: bool = True) -> None:
        """Delete an object; with `wait`, until it is gone."""
        self.run("delete", kind, name, "-n", namespace, f"--wait={str(wait).lower()}", "--ignore-not-found")

    def patch(self, kind: str, name: str, namespace: str, patch: Object) -> None:
        """Merge-patch an object."""
        self.run("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(patch))

    def wait_gone(self, kind: str, name: str, namespace: str) -> None:
        """Wait until the object is no more."""
        wait_until(lambda: self.get(kind, name, namespace) is None, what=f"{kind}/{name} is gone")


def condition(obj: Object | None, kind: str) -> Object:
    """The condition of that type, or an empty one."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


def wait_condition(
    kube: Kube,
    kind: str,
    name: str,
    namespace: str,
    type_: str,
    status: str,
    *,
    reason: str = "",
    timeout: float = PATIENCE,
) -> Object:
    """Wait until the condition has the status (and reason) for the newest generation; the condition is returned."""

    seen: Object = {}

    def probe() -> Object | None:
        obj = kube.get(kind, name, namespace)
        found = condition(obj, type_)
        seen.clear()
        seen.update({"conditions": ((obj or {}).get("status") or {}).get("conditions")})
        current = found.get("observedGeneration") == ((obj or {}).get("metadata") or {}).get("generation")
        matches = found.get("status") == status and (not reason or found.get("reason") == reason)
        return found if current and matches else None

    try:
        return wait_until(probe, timeout=timeout, what=f"{kind}/{name}: {type_}={status} {reason}")
    except AssertionError as error:
        raise AssertionError(f"{error}; conditions: {json.dumps(seen, indent=1)}") from None
