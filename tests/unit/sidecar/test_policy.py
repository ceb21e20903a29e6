"""What a policy allows."""

from collections.abc import Callable

import pytest

from fairlead_sidecar.config import CommandPolicy, Confirmation, PathPolicy, Policy, Sudo
from fairlead_sidecar.errors import PolicyDenied
from fairlead_sidecar.policy import ClosedPolicy, CompiledPolicy, PolicyInvalid


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


def test_a_script_is_judged_by_its_text_and_by_what_runs_it() -> None:
    policy = commands(deny=(r"\bmkfs\b",))
    policy.check_script(["bash", "-eu"], "ls\n")
    with pytest.raises(PolicyDenied):
        policy.check_script(["bash"], "ls\nmkfs /dev/sda\n")
    with pytest.raises(PolicyDenied):
        policy.check_script(["mkfs", "/dev/sda"], "ls\n")


def test_with_an_allow_list_a_script_needs_both_its_text_and_its_interpreter_allowed() -> None:
    policy = commands(allow=("^uptime$",))
    for interpreter, content in ((["bash"], "uptime"), (["uptime"], "rm -rf /")):
        with pytest.raises(PolicyDenied):
            policy.check_script(interpreter, content)
    commands(allow=("^uptime$", "^bash$")).check_script(["bash"], "uptime")


def test_with_an_allow_list_no_call_may_set_variables() -> None:
    commands().check_command("uptime", sets_variables=True)
    with pytest.raises(PolicyDenied, match="env"):
        commands(allow=("^uptime$",)).check_command("uptime", sets_variables=True)


def test_a_pattern_finds_sudo_that_the_call_asks_for_and_the_command_does_not_name() -> None:
    policy = commands(deny=(r"\bsudo -u root\b",))
    policy.check_command("id")
    policy.check_command("id", user="postgres")
    with pytest.raises(PolicyDenied):
        policy.check_command("id", user="root")


def test_sudo_is_bound_to_the_accounts_that_the_policy_names() -> None:
    with pytest.raises(PolicyDenied, match="Never"):
        CompiledPolicy(Policy()).check_user("root")
    policy = CompiledPolicy(Policy(sudo=Sudo(type="Passwordless", users=("postgres", "www-data"))))
    policy.check_user("postgres")
    with pytest.raises(PolicyDenied, match="postgres, www-data"):
        policy.check_user("root")


def test_confirmation_is_needed_where_a_pattern_is_found() -> None:
    policy = CompiledPolicy(Policy(confirm=(Confirmation(pattern=r"\brm\b"), Confirmation(pattern="sudo -u root"))))
    assert policy.needs_confirmation("cd /srv; rm x")
    assert policy.needs_confirmation("bash", "echo\nrm x\n")
    assert policy.needs_confirmation("id", user="root")
    assert not policy.needs_confirmation("ls", user="www-data")
    with pytest.raises(PolicyInvalid, match=r"policy\.confirm\[0\]\.pattern"):
        CompiledPolicy(Policy(confirm=(Confirmation(pattern="("),)))


def test_a_closed_policy_denies_everything() -> None:
    policy = ClosedPolicy("policy.commands.deny[0] is wrong")
    questions: tuple[Callable[[], object], ...] = (
        lambda: policy.check_command("ls", user=None),
        lambda: policy.check_script(["sh"], "ls"),
        lambda: policy.check_user("root"),
        lambda: policy.needs_confirmation("ls"),
        lambda: policy.check_read("/"),
        lambda: policy.check_write("/"),
    )
    for question in questions:
        with pytest.raises(PolicyDenied, match=r"policy\.commands\.deny\[0\]"):
            question()
