from datetime import timedelta
from pathlib import Path

import pytest

from fairlead_client.destination import Destination
from fairlead_client.serve.command import serve
from fairlead_client.serve.options import ServeOptions, build_config, grant
from fairlead_sidecar.config import Permission, Target

WEB = Destination("web-01")
TARGET = Target(address="web-01", username="deploy")


def test_lines_for_clients_start_the_server_with_the_same_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    options = ServeOptions(
        destination=Destination("2001:db8::1", "deploy", 2222),
        identity_files=(tmp_path / "file",),
        ssh_config=tmp_path / "file",
        known_hosts=tmp_path / "file",
        allow=("^uptime", "-x"),
        deny=("rm -rf",),
        read_paths=("/srv", "/etc"),
        write_paths=("/srv",),
        read_only=True,
        variables=("LANG=C.UTF-8", "TOKEN"),
        working_directory="/srv",
        sudo=True,
        command_timeout=timedelta(seconds=90),
        output_bytes=65536,
        host_file=tmp_path / "host.yaml",
        secrets=tmp_path,
    )
    (tmp_path / "host.yaml").write_text("tools: {groups: [Files]}")
    monkeypatch.setenv("TOKEN", "hidden")
    program, *arguments = options.stdio_arguments()
    parsed = serve.make_context("serve", arguments).params
    assert program == "serve"
    assert parsed["stdio"] is True
    assert parsed["destination"] == options.destination
    assert parsed["identity"] == options.identity_files
    assert (parsed["ssh_config"], parsed["known_hosts"]) == (options.ssh_config, options.known_hosts)
    assert (parsed["allow"], parsed["deny"]) == (options.allow, options.deny)
    assert (parsed["read_path"], parsed["write_path"]) == (options.read_paths, options.write_paths)
    assert (parsed["timeout"], parsed["output_bytes"]) == (options.command_timeout, options.output_bytes)
    assert (parsed["read_only"], parsed["sudo"]) == (True, True)
    assert (parsed["env"], parsed["workdir"]) == (options.variables, "/srv")
    assert (parsed["config"], parsed["secrets"]) == (options.host_file, options.secrets)
    assert "hidden" not in " ".join(arguments)


def test_lines_for_clients_name_no_option_that_is_as_it_is_anyway() -> None:
    assert ServeOptions(destination=WEB).stdio_arguments() == ("serve", "--stdio", "web-01")


def test_relative_files_become_absolute_for_clients_that_start_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ServeOptions(destination=WEB, known_hosts=Path("known"))
    assert f"--known-hosts={tmp_path}/known" in options.stdio_arguments()


def test_only_the_loopback_names_are_answered_over_http() -> None:
    config = build_config(ServeOptions(destination=WEB), TARGET, tokens=(), listen_port=7422)
    assert config.endpoint.allowed_hosts == ("127.0.0.1:7422", "localhost:7422")


def test_without_patterns_and_paths_nothing_is_restricted() -> None:
    policy = build_config(ServeOptions(destination=WEB), TARGET, tokens=(), listen_port=None).policy
    assert (policy.commands.allow, policy.commands.deny) == (None, ())
    assert (policy.paths.read, policy.paths.write) == (None, None)


def test_the_one_token_may_do_what_the_policy_lets_anybody_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ada")
    granted = grant("id", "hash")
    assert granted.permissions == set(Permission)
    assert granted.subject == "ada"
