"""A command that waits for a shell, and gets one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from fairlead_sidecar.ssh.launcher import Launcher
from fairlead_sidecar.ssh.program import Program
from fairlead_sidecar.ssh.result import Sink


@dataclass(eq=False, slots=True)
class Order:
    """One command on its way to the host."""

    compose: Callable[[Launcher], Program]
    """Makes the program for the shell that it got."""
    sink: Sink
    urgent: bool = False
    """A kill: goes before all others, into the places that are kept free."""
    launcher: Launcher | None = None
    """The shell that it was given to: from then on the command may run."""
    served: asyncio.Future[None] | None = field(default=None, repr=False)

    def prepare(self, launcher: Launcher) -> None:
        """Tell the shell what to run; `given` follows when it does."""
        try:
            program = self.compose(launcher)
        except Exception as error:  # noqa: BLE001 - whoever waits has to know, and asyncssh must not see it
            launcher.close()
            self.fail(error)
            return
        launcher.begin(program, self.sink)

    def given(self, launcher: Launcher) -> None:
        """The shell is asked to run the command."""
        self.launcher = launcher
        if self.served is not None and not self.served.done():
            self.served.set_result(None)

    def fail(self, error: Exception) -> None:
        """Tell whoever waits that it will not be run."""
        if self.served is not None and not self.served.done():
            self.served.set_exception(error)

    @property
    def waiting(self) -> bool:
        """Whether somebody still waits for a shell."""
        return self.served is not None and not self.served.done()
