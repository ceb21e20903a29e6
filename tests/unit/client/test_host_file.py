"""What `fairlead serve` is told of a host, by its flags and by a file with a part of a RemoteHost's spec."""

from pathlib import Path
from typing import Any

import pytest

from fairlead_client.destination import Destination
from fairlead_client.serve.host_file import HostFileError
from fairlead_client.serve.options import ServeOptions, build_config
from fairlead_sidecar.config import SidecarConfig, Target, ToolGroup

HOST = """
environment:
  workingDirectory: /srv
  variables:
    - {name: LANG, value: C.UTF-8}
    - {name: API_TOKEN, valueFrom: {secretKeyRef: {name: app, key: token}}}
tools: {groups: [Connection]}
policy:
  commands: {deny: [mkfs]}
  namedCommands:
    - name: restart
      argv: [systemctl, restart, "{unit}"]
      parameters: {unit: {pattern: "[a-z]+"}}
      user: root
      timeout: 1m
  sudo: {type: Password, passwordSecretRef: {name: sudo, key: password}}
  confirm: [{pattern: reboot}]
  redact: [{secretKeyRef: {name: app, key: token}}]
limits: {idleTimeout: 30s}
"""


def config(**options: Any) -> SidecarConfig:
    own = {"TOKEN": "from here"}
    served = ServeOptions(destination=Destination("web-01"), **options)
    served.check(own)
    target = Target(address="web-01", username="deploy")
    return build_config(served, target, tokens=(), listen_port=None, own=own)


def refusal(**options: Any) -> str:
    with pytest.raises(HostFileError) as raised:
        config(**options)
    return str(raised.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "host.yaml"
    path.write_text(HOST)
    return path


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets"
    for name in ("app/token", "sudo/password"):
        (directory / name).parent.mkdir(parents=True)
        (directory / name).write_text("x")
    return directory


def test_a_file_says_what_a_remote_hosts_spec_says(file: Path, secrets: Path) -> None:
    made = config(host_file=file, secrets=secrets)
    assert made.groups == frozenset()
    assert made.environment.working_directory == "/srv"
    lang, token = made.environment.variables
    assert (lang.value, token.secret and token.secret.file) == ("C.UTF-8", secrets / "app/token")
    assert made.policy.commands.deny == ("mkfs",)
    (restart,) = made.policy.named_commands
    assert (restart.argv, restart.user, restart.timeout) == (("systemctl", "restart", "{unit}"), "root", 60.0)
    assert restart.parameters["unit"].pattern == "[a-z]+"
    assert made.policy.sudo.password is not None
    assert made.policy.sudo.password.file == secrets / "sudo/password"
    assert [value.name for value in made.policy.redact] == ["app/token"]
    assert [some.pattern for some in made.policy.confirm] == ["reboot"]
    assert (made.limits.idle_timeout, made.limits.command_timeout) == (30.0, 300.0)


def test_without_file_and_flags_all_is_as_for_the_smallest_remote_host() -> None:
    made = config()
    assert made.groups == frozenset(ToolGroup)
    assert (made.policy, made.environment, made.limits) == tuple(
        type(some)() for some in (made.policy, made.environment, made.limits)
    )


def test_flags_say_the_same_as_a_file() -> None:
    made = config(
        read_only=True, sudo=True, variables=("A=b=c", "EMPTY=", "TOKEN"), working_directory="/srv", output_bytes=4096
    )
    assert made.policy.read_only
    assert made.policy.sudo.type == "Passwordless"
    assert [(some.name, some.value) for some in made.environment.variables] == [
        ("A", "b=c"),
        ("EMPTY", ""),
        ("TOKEN", "from here"),
    ]
    assert made.environment.working_directory == "/srv"
    assert made.limits.output_bytes == 4096


def test_flags_and_file_add_up(file: Path, secrets: Path) -> None:
    made = config(host_file=file, secrets=secrets, variables=("EXTRA=1",), allow=("^ls",), read_only=True)
    assert [some.name for some in made.environment.variables] == ["LANG", "API_TOKEN", "EXTRA"]
    assert made.policy.commands.allow == ("^ls",)
    assert made.policy.commands.deny == ("mkfs",)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"sudo": True}, "--sudo and policy.sudo in "),
        ({"deny": ("x",)}, "--deny and policy.commands.deny in "),
        ({"working_directory": "/"}, "--workdir and environment.workingDirectory in "),
        ({"variables": ("LANG=C",)}, "'LANG' occurs twice"),
    ],
)
def test_what_is_said_twice_is_refused(file: Path, secrets: Path, flags: dict[str, Any], problem: str) -> None:
    assert problem in refusal(host_file=file, secrets=secrets, **flags)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("polcy: {}", "polcy: no such field"),
        ("policy: {redact: [{}]}", "policy.redact.0.secretKeyRef: is needed"),
        ("kind: RemoteHost\nspec: {policy: {readOnly: true}}", "is a whole RemoteHost: leave only environment"),
        ("policy: {readOnly: 5, sudo: {type: Password}}", "needs passwordSecretRef"),
        ("policy: []", "policy: Input should be"),
        ("- a", "must hold environment, tools, policy, limits"),
        ("a: [", "is no YAML"),
        ("policy: {confirm: [{pattern: '('}]}", "policy.confirm[0].pattern: '(' is no RE2 pattern: missing )"),
        ("environment: {workingDirectory: srv}", "is no absolute path"),
        ("policy: {paths: {write: [srv]}}", "is no absolute path"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_the_place(file: Path, text: str, problem: str) -> None:
    file.write_text(text)
    found = refusal(host_file=file)
    assert problem in found
    assert str(file) in found


def test_a_wrong_entry_of_a_list_is_the_only_thing_complained_of(file: Path) -> None:
    file.write_text("tools: {groups: [Shell]}")

    assert refusal(host_file=file) == f"{file}: tools.groups.0: Input should be 'Connection', 'Execute' or 'Files'"


def test_missing_values_are_named(file: Path, secrets: Path) -> None:
    assert "give --secrets DIR with DIR/" in refusal(host_file=file)
    (secrets / "app" / "token").unlink()
    assert f"{secrets}/app/token is missing" in refusal(host_file=file, secrets=secrets)


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ("GONE", "--env GONE: there is no such variable here"),
        ("=x", "at least 1 character"),
        ("A-B=x", "no name for a variable"),
        ("FAIRLEAD_X=1", "no name for a variable"),
    ],
)
def test_a_variable_that_cannot_be_is_refused(variable: str, problem: str) -> None:
    assert problem in refusal(variables=(variable,))
