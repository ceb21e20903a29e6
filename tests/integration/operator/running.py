"""The operator as a process of its own, with the permissions it asks for."""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.operator.control_plane import OPERATOR_NAMESPACE, ControlPlane
from tests.integration.sshd import free_port

PATIENCE = 60.0
QUIET = 5.0
"""Seconds without any change after which nothing more is to be expected."""
_WRITTEN = ("remotehost", "mcptoken", "sshca", "secret", "configmap", "service", "deployment", "ingress", "events")
"""The kinds that the operator may write."""


class RunningOperator:
    """One operator process; `stop` ends it as a kubelet would, `kill` as a crash would."""

    def __init__(self, plane: ControlPlane, log: Path, **settings: str) -> None:
        self.log = log
        self.health_port, self.metrics_port = free_port(), free_port()
        environment = {
            "KUBECONFIG": str(plane.operator),
            "FAIRLEAD_NAMESPACE": OPERATOR_NAMESPACE,
            "FAIRLEAD_SIDECAR_IMAGE": "localhost/fairlead/sidecar:test",
            "FAIRLEAD_ENDPOINT_HOST": "mcp.example.com",
            "FAIRLEAD_HEALTH_PORT": str(self.health_port),
            "FAIRLEAD_METRICS_PORT": str(self.metrics_port),
            # Nothing listens where Services are: there are no pods here.
            "FAIRLEAD_SIDECAR_URL_TEMPLATE": f"http://127.0.0.1:{free_port()}",
            **settings,
        }
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fairlead_operator"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **environment},
            )

    def until_working(self) -> None:
        """Wait until it holds the Lease and has listed everything."""
        until(
            lambda: self.metric("fairlead_leader") == 1 and self.answers("readyz"),
            f"the operator works; see {self.log}",
        )

    def metric(self, name: str) -> float:
        """The sum of a metric's series; 0 where there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def answers(self, path: str) -> bool:
        """Whether a probe succeeds."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/{path}", timeout=5):
                return True
        except (urllib.error.HTTPError, OSError):
            return False

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(timeout=PATIENCE)

    def kill(self) -> None:
        """SIGKILL: the Lease stays held until it expires."""
        self._process.kill()
        self._process.wait()


def until(holds: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


class Cluster:
    """Short ways to look at what exists."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """One object, None where there is none."""
        return self.plane.reader.one(kind, name, self.namespace)

    def found(self, kind: str, name: str) -> dict[str, Any]:
        """One object that must exist."""
        found = self.get(kind, name)
        assert found is not None, f"no {kind} {name}"
        return found

    def condition(self, kind: str, name: str, aspect: str) -> tuple[str, str]:
        """Status and reason of a condition; empty where there is none."""
        found = self.get(kind, name) or {}
        for condition in (found.get("status") or {}).get("conditions", []):
            if condition["type"] == aspect:
                return condition["status"], condition["reason"]
        return "", ""

    def reason(self, kind: str, name: str) -> str:
        """Reason of the Ready condition."""
        return self.condition(kind, name, "Ready")[1]

    def versions(self) -> dict[str, str]:
        """resourceVersion of all that the operator may write."""
        return {
            f"{kind}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for kind in _WRITTEN
            for item in self.plane.reader.all(kind, self.namespace)
        }

    def settled(self) -> dict[str, str]:
        """The same, once nothing has changed for a while."""
        versions, since = self.versions(), time.monotonic()

        def unchanged() -> bool:
            nonlocal versions, since
            now = self.versions()
            if now != versions:
                versions, since = now, time.monotonic()
            return time.monotonic() - since > QUIET

        until(unchanged, "nothing changes any more")
        return versions

    def rendered(self, host: str = "web-01") -> str | None:
        """What a host's sidecar is told, letter by letter; None where there is nothing yet."""
        found = self.get("secret", f"rh-{host}")
        return base64.b64decode(found["data"]["config.json"]).decode() if found else None

    def configuration(self, host: str = "web-01") -> dict[str, Any] | None:
        """What a host's sidecar is told, None where there is nothing yet."""
        rendered = self.rendered(host)
        return json.loads(rendered) if rendered is not None else None

    def secret_data(self, name: str) -> dict[str, str]:
        """A Secret's content; empty where there is no such Secret."""
        data = (self.get("secret", name) or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def status(self, kind: str, name: str) -> dict[str, Any]:
        """An object's status; empty where there is none yet."""
        return (self.get(kind, name) or {}).get("status") or {}

    def annotate(self, kind: str, name: str, annotation: str) -> None:
        """Set an annotation, `key=value`, or take it away, `key-`."""
        self.plane.kubectl("-n", self.namespace, "annotate", kind, name, annotation, "--overwrite")

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of the Events about an object."""
        items = self.plane.reader.all("events", self.namespace)
        return [(item["reason"], item["note"]) for item in items if item["regarding"]["name"] == name]

    def tokens(self, host: str = "web-01") -> list[str]:
        """The ids of the tokens that a host's sidecar is told of."""
        configuration = self.configuration(host)
        return [grant["id"] for grant in configuration["tokens"]] if configuration else []

    def delete(self, kind: str, name: str) -> None:
        """Delete without waiting for what depends on it."""
        self.plane.kubectl("delete", kind, name, "-n", self.namespace, "--wait=false")
