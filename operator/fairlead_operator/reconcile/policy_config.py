"""What a RemoteHost says about commands, in the sidecar's words."""

from collections.abc import Iterable
from datetime import timedelta

from fairlead_api.environment import Environment
from fairlead_api.host_policy import Limits, Policy, Sudo
from fairlead_api.host_policy import ToolGroup as ApiToolGroup
from fairlead_api.named_commands import NamedCommand
from fairlead_operator.reconcile.mounts import secret_value
from fairlead_sidecar import config as sidecar


def environment(environment: Environment) -> sidecar.Environment:
    """Where commands start and what they find."""
    return sidecar.Environment(
        working_directory=environment.working_directory,
        variables=tuple(
            sidecar.Variable(
                name=variable.name,
                value=variable.value,
                secret=secret_value(variable.value_from.secret_key_ref) if variable.value_from else None,
            )
            for variable in environment.variables or ()
        ),
    )


def policy(policy: Policy) -> sidecar.Policy:
    """What may be done on the host."""
    commands, paths = policy.commands, policy.paths
    return sidecar.Policy(
        read_only=policy.read_only,
        commands=sidecar.CommandPolicy(allow=commands.allow, deny=commands.deny or ())
        if commands
        else sidecar.CommandPolicy(),
        named_commands=tuple(_named_command(command) for command in policy.named_commands or ()),
        paths=sidecar.PathPolicy(read=paths.read, write=paths.write) if paths else sidecar.PathPolicy(),
        sudo=_sudo(policy.sudo) if policy.sudo else sidecar.Sudo(),
        confirm=tuple(
            sidecar.Confirmation(pattern=some.pattern, mode=some.mode.value) for some in policy.confirm or ()
        ),
        redact=tuple(secret_value(some.secret_key_ref) for some in policy.redact or ()),
    )


def _named_command(command: NamedCommand) -> sidecar.NamedCommand:
    return sidecar.NamedCommand(
        name=command.name,
        description=command.description,
        argv=command.argv,
        parameters={
            name: sidecar.Parameter(
                type=parameter.type.value,
                description=parameter.description,
                pattern=parameter.pattern,
                enum=parameter.enum,
                minimum=parameter.minimum,
                maximum=parameter.maximum,
                default=parameter.default,
            )
            for name, parameter in (command.parameters or {}).items()
        },
        working_directory=command.working_directory,
        user=command.user,
        timeout=_seconds(command.timeout),
        read_only=command.read_only,
    )


def _sudo(sudo: Sudo) -> sidecar.Sudo:
    reference = sudo.password_secret_ref
    return sidecar.Sudo(type=sudo.type.value, password=secret_value(reference) if reference else None, users=sudo.users)


def limits(limits: Limits) -> sidecar.Limits:
    """Bounds of one call."""
    return sidecar.Limits(
        command_timeout=limits.command_timeout.total_seconds(),
        idle_timeout=_seconds(limits.idle_timeout),
        foreground_timeout=limits.foreground_timeout.total_seconds(),
        output_bytes=limits.output_bytes,
        disconnect_grace=limits.disconnect_grace.total_seconds(),
    )


def groups(groups: Iterable[ApiToolGroup] | None) -> frozenset[sidecar.ToolGroup]:
    """The groups that are offered; None: all."""
    if groups is None:
        return frozenset(sidecar.ToolGroup)
    # Tools about the connection are always there, so there is no such group to name.
    return frozenset(sidecar.ToolGroup(group.value) for group in groups if group is not ApiToolGroup.CONNECTION)


def _seconds(duration: timedelta | None) -> float | None:
    return duration.total_seconds() if duration is not None else None
