"""From an agent's values to the words that run."""

import random

import pytest

from fairlead_sidecar.config import NamedCommand, Parameter, Policy, Sudo
from fairlead_sidecar.errors import InvalidRequest, PolicyDenied
from fairlead_sidecar.named_commands import NamedArgv, Value
from fairlead_sidecar.policy import ClosedPolicy, CompiledPolicy, PolicyInvalid


def named(*argv: str, user: str | None = None, sudo: Sudo | None = None, **parameters: Parameter) -> NamedArgv:
    command = NamedCommand(name="it", argv=argv, parameters=parameters, user=user)
    return CompiledPolicy(Policy(named_commands=(command,), sudo=sudo or Sudo())).named("it")


def rendered(parameter: Parameter, value: Value | None) -> tuple[str, ...]:
    return named("run", "{x}", x=parameter).render({"x": value})


def test_values_fill_their_places_and_doubled_braces_are_braces() -> None:
    command = named("a", "--unit={unit}.service", "{{{unit}}}", "{{unit}}", "}}{{", unit=Parameter())
    assert command.render({"unit": "web"}) == ("a", "--unit=web.service", "{web}", "{unit}", "}{")


def test_a_value_stays_one_word_whatever_it_holds() -> None:
    chance = random.Random(3)
    for _ in range(500):
        value = "x" + "".join(chance.choices("ab '\"$`\\;|&\n\t{}*?~<>()é\u202e", k=chance.randint(0, 12)))
        assert named("run", "{x}", "last", x=Parameter()).render({"x": value}) == ("run", value, "last")


@pytest.mark.parametrize("value", ["--force", "-", "-x", "-9"])
@pytest.mark.parametrize("pattern", [None, "[a-z0-9-]+", ".*"])
def test_a_value_can_not_become_an_option(value: str, pattern: str | None) -> None:
    with pytest.raises(InvalidRequest, match="must"):
        rendered(Parameter(pattern=pattern), value)


def test_an_option_that_the_owner_wrote_is_accepted() -> None:
    assert rendered(Parameter(pattern="-v+"), "-vv") == ("run", "-vv")
    assert rendered(Parameter(pattern="^(-a|-b)$"), "-b") == ("run", "-b")
    assert rendered(Parameter(enum=("--all", "--brief")), "--all") == ("run", "--all")
    assert rendered(Parameter(default="--quiet"), None) == ("run", "--quiet")
    assert rendered(Parameter(type="Integer", minimum=-5), -5) == ("run", "-5")


@pytest.mark.parametrize("value", ["web\n", "web x", "xweb", "WEB", ""])
def test_a_pattern_must_match_the_whole_value(value: str) -> None:
    assert rendered(Parameter(pattern="web|db"), "web") == ("run", "web")
    with pytest.raises(InvalidRequest, match="as a whole"):
        rendered(Parameter(pattern="web|db"), value)


@pytest.mark.parametrize(
    ("parameter", "value", "written"),
    [
        (Parameter(type="Boolean"), True, "true"),
        (Parameter(type="Boolean"), False, "false"),
        (Parameter(type="Boolean", default="false"), None, "false"),
        (Parameter(type="Integer"), 0, "0"),
        (Parameter(type="Integer", minimum=1, maximum=9), 9, "9"),
        (Parameter(), "", ""),
    ],
)
def test_each_type_is_written_its_way(parameter: Parameter, value: Value | None, written: str) -> None:
    assert rendered(parameter, value) == ("run", written)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (Parameter(), None),
        (Parameter(), 1),
        (Parameter(), "a\0b"),
        (Parameter(enum=("a", "b")), "c"),
        (Parameter(type="Integer"), -1),
        (Parameter(type="Integer"), True),
        (Parameter(type="Integer"), "1"),
        (Parameter(type="Integer", minimum=2, maximum=3), 4),
        (Parameter(type="Integer", minimum=2, maximum=3), 1),
        (Parameter(type="Boolean"), "yes"),
        (Parameter(type="Boolean"), 1),
    ],
)
def test_what_a_parameter_does_not_take_is_refused_by_its_name(parameter: Parameter, value: Value | None) -> None:
    with pytest.raises(InvalidRequest, match="The parameter x"):
        rendered(parameter, value)


def test_a_named_command_that_can_not_be_understood_is_refused_with_its_place() -> None:
    with pytest.raises(PolicyInvalid, match=r"policy\.namedCommands\[0\]\.argv: .*\{y\}"):
        named("a", "{y}", x=Parameter())
    with pytest.raises(PolicyInvalid, match=r"policy\.namedCommands\[0\]\.argv: .*brace"):
        named("a", "b}c")
    with pytest.raises(PolicyInvalid, match=r"policy\.namedCommands\[0\]\.parameters\.x\.pattern"):
        named("{x}", x=Parameter(pattern="("))
    with pytest.raises(PolicyInvalid, match=r"policy\.namedCommands\[0\]\.user"):
        named("a", user="root")


def test_a_named_command_runs_as_an_account_that_sudo_allows() -> None:
    assert named("a", user="postgres", sudo=Sudo(type="Passwordless", users=("postgres",))).command.user == "postgres"


def test_a_closed_policy_has_no_named_commands() -> None:
    with pytest.raises(PolicyDenied):
        ClosedPolicy("policy.x").named("it")
    with pytest.raises(PolicyDenied):
        CompiledPolicy(Policy()).named("it")
