"""What a policy allows."""

import pytest

from fairlead_sidecar.config import CommandPolicy, PathPolicy, Policy
from fairlead_sidecar.errors import PolicyDenied
from fairlead_sidecar.policy import CompiledPolicy, PolicyInvalid


def commands(*, allow: tuple[str, ...] | None = None, deny: tuple[str, ...] = ()) -> CompiledPolicy:
    return CompiledPolicy(Policy(commands=CommandPolicy(allow=allow, deny=deny)))


def paths(*, read: tuple[str, ...] | None = None, write: tuple[str, ...] | None = None) -> CompiledPolicy:
    return CompiledPolicy(Policy(paths=PathPolicy(read=read, write=write)))


def test_an_absent_policy_restricts_nothing() -> None:
    policy = CompiledPolicy(Policy())
    policy.check_command("rm -rf /")
    policy.check_read("/etc/shadow")
    policy.check_write("/etc/shadow")


def test_deny_wins_over_allow_and_the_message_names_the_pattern() -> None:
    policy = commands(allow=("^ls",), deny=("--color",))
    policy.check_command("ls -l")
    with pytest.raises(PolicyDenied, match=r"`--color` of policy\.commands\.deny"):
        policy.check_command("ls --color")
    with pytest.raises(PolicyDenied, match=r"policy\.commands\.allow: `\^ls`"):
        policy.check_command("cat x")


@pytest.mark.parametrize("command", ["echo\nmkfs /dev/sda", "x; mkfs.ext4 /dev/sda", "sudo mkfs"])
def test_a_denied_word_is_found_anywhere_in_the_text(command: str) -> None:
    with pytest.raises(PolicyDenied):
        commands(deny=(r"\bmkfs(\.|\b)",)).check_command(command)


@pytest.mark.parametrize("command", ["uptime\nrm -rf /", "uptime; id", " uptime"])
def test_an_anchored_allow_pattern_lets_nothing_ride_along(command: str) -> None:
    policy = commands(allow=("^uptime$",))
    policy.check_command("uptime")
    with pytest.raises(PolicyDenied):
        policy.check_command(command)


def test_an_evil_pattern_takes_no_longer_than_any_other() -> None:
    commands(deny=("^(a+)+$",)).check_command("a" * 100_000 + "b")


@pytest.mark.parametrize("pattern", ["(", "[z-a]", r"(?=look)", r"(a)\1", "a{1001}", "*"])
def test_a_pattern_that_is_no_re2_is_refused_with_its_place(pattern: str) -> None:
    with pytest.raises(PolicyInvalid, match=r"policy\.commands\.deny\[1\] is not a regular expression of RE2: .+"):
        commands(deny=("fine", pattern))


@pytest.mark.parametrize("path", ["/srv", "/srv/app/x", "//srv/app", "/srv/a..b"])
def test_paths_below_a_directory_pass(path: str) -> None:
    paths(read=("/srv/",)).check_read(path)


@pytest.mark.parametrize("path", ["/srv2", "/", "/srv/../etc/shadow", "/etc/srv", "srv", "", "/srvx/../srv2"])
def test_paths_are_compared_by_component_and_not_by_their_beginning(path: str) -> None:
    with pytest.raises(PolicyDenied, match="read only below /srv"):
        paths(read=("/srv",)).check_read(path)


def test_reading_and_writing_are_judged_apart() -> None:
    policy = paths(read=("/",), write=("/tmp", "/srv"))
    policy.check_read("/etc/hosts")
    policy.check_write("/tmp/x")
    with pytest.raises(PolicyDenied, match="written only below /tmp, /srv"):
        policy.check_write("/etc/hosts")


def test_a_relative_directory_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match=r"policy\.paths\.write\[0\] must be an absolute path"):
        paths(write=("srv",))
