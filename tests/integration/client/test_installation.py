"""The base installation: without the libraries that only serving needs."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
from packaging.requirements import Requirement

from tests.integration.client.person import ENDING_SECONDS

REPOSITORY = Path(__file__).parents[3]


def base_distributions(name: str = "fairlead") -> set[str]:
    """The distributions that `pip install NAME` brings, without extras."""
    found = {name}
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found |= base_distributions(requirement.name)
    return found


@pytest.fixture
def base_installation(tmp_path: Path) -> dict[str, str]:
    """An environment in which Python finds the base installation only."""
    site = tmp_path / "site"
    site.mkdir()
    for name in base_distributions():
        files = importlib.metadata.files(name) or []
        for top in {file.parts[0] for file in files if file.parts[0] not in {"..", "__pycache__"}}:
            source = Path(str(importlib.metadata.distribution(name).locate_file(top)))
            if source.suffix != ".pth" and not (site / top).exists():
                (site / top).symlink_to(source)
    for package in ("client/fairlead_client", "crds/fairlead_api", "sidecar/fairlead_sidecar"):
        (site / Path(package).name).symlink_to(REPOSITORY / package)
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(site)}


def fairlead(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    # -S: without the real site-packages.
    command = [sys.executable, "-S", "-m", "fairlead_client", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=ENDING_SECONDS, check=False)


def test_serve_without_the_extra_says_what_to_install(base_installation: dict[str, str]) -> None:
    result = fairlead(base_installation, "serve", "deploy@web-01")
    assert result.returncode == 2
    assert result.stderr.strip().endswith("pip install 'fairlead[sidecar]'")
    assert "Traceback" not in result.stderr


def test_connecting_over_ssh_without_the_extra_says_what_to_install(base_installation: dict[str, str]) -> None:
    result = fairlead(base_installation, "connect", "ssh://mcp@web-01")
    assert result.returncode == 2
    assert result.stderr.strip().endswith("pip install 'fairlead[ssh]'")


def test_connecting_to_a_url_needs_no_extra(base_installation: dict[str, str]) -> None:
    command = [
        sys.executable,
        "-S",
        "-m",
        "fairlead_client",
        "connect",
        "--connect-timeout=0",
        "http://127.0.0.1:1/mcp",
    ]
    with subprocess.Popen(command, env=base_installation, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        line = process.stdout.readline()
        _, said = process.communicate(timeout=ENDING_SECONDS)
    assert "is away" in line, said
    assert process.returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["connect", "--help"], ["--version"]])
def test_help_and_version_need_no_extra(base_installation: dict[str, str], arguments: list[str]) -> None:
    result = fairlead(base_installation, *arguments)
    assert (result.returncode, result.stderr) == (0, "")


def test_version_is_that_of_the_distribution() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("fairlead"), "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"fairlead {importlib.metadata.version('fairlead')}\n"


def test_it_is_a_kubectl_plugin_too() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("kubectl-fairlead"), "serve", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "[USER@]HOST[:PORT]" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["serve"], "Missing argument"),
        (["serve", "deploy:hunter2@web-01"], "a password does not belong"),
        (["serve", "web-01:99999"], "not a number from 1 to 65535"),
        (["serve", "-p", "22", "web-01:2222"], "leave one out"),
        (["serve", "--allow", "(", "web-01"], "no RE2 pattern"),
        (["serve", "--timeout", "5 minutes", "web-01"], "write it like 30s, 5m or 1h30m"),
        (["serve", "--output-bytes", "1G", "web-01"], "must be between"),
        (["serve", "--read-path", "srv", "web-01"], "not absolute"),
        (["serve", "-i", "no-such-key", "web-01"], "does not exist"),
        (["serve", "--insecure", "web-01"], "No such option"),
    ],
)
def test_wrong_usage_is_named_before_anything_is_loaded(arguments: list[str], complaint: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "fairlead_client", *arguments],
        capture_output=True,
        text=True,
        timeout=ENDING_SECONDS,
        check=False,
    )
    assert result.returncode == 2
    assert complaint in " ".join(result.stderr.split())
    assert "hunter2" not in result.stderr
