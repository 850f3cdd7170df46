"""Runs Slurm's commands in the background, with the environment that they and their jobs inherit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from nemorun_cli.executors.background_commands import LocalCommands

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from nemorun_cli.executors.background_commands import LocalCommand, PendingCommand

# What commands, and jobs through sbatch, inherit from the environment of this process: of SLURM_ and SBATCH_
# only the variable that locates the cluster, and the defaults that sites ask their users to set.
KEPT: Final = ("SLURM_CONF", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "LANG", "LC_ALL", "KRB5CCNAME")
DEFAULTS: Final = ("account", "partition", "qos", "reservation", "constraint")
PATH: Final = "/usr/local/bin:/usr/bin:/bin"  # of jobs, until their login files set their own
PRINTS_TIMES: Final = ("squeue", "sacct")


class SlurmCommands(Protocol):
    """Runs Slurm's commands, locally or on a remote host.

    Attributes:
        own: the flag that restricts squeue to the jobs of this user.
        count: the number of commands so far.
    """

    own: str
    count: int

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when an answer may have arrived; None if not supported."""
        ...

    def ask(self, argv: Sequence[str]) -> PendingCommand:
        """Start one of Slurm's commands."""
        ...

    def collect(self) -> None:
        """Advance pending commands, and collect answers that no caller waits for."""
        ...

    def due(self) -> float | None:
        """The monotonic time at which to call `collect` without a wakeup."""
        ...

    def close(self) -> None:
        """Release pending commands; they continue to run."""
        ...


class Commands(LocalCommands):
    """Runs Slurm's commands on this machine.

    Args:
        given: the sbatch options that the spec sets; their defaults in the environment are ignored.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        super().__init__()
        self._given = frozenset(given)
        self.own = f"--user={os.getuid()}"
        self.count = 0

    def ask(self, argv: Sequence[str]) -> LocalCommand:
        """Start a command."""
        self.count += 1
        env = {name: os.environ[name] for name in kept(argv[0], self._given) if name in os.environ}
        # A site's command may be a script that finds the real one, and others, on the PATH of its user.
        return self.start(argv, env | fixed(argv[0]) | {"PATH": os.environ.get("PATH", PATH)})


def kept(command: str, given: Collection[str]) -> Sequence[str]:
    """The names of the variables that a command, and a job through sbatch, inherits."""
    if command != "sbatch":
        return KEPT
    return (*KEPT, *(f"SBATCH_{name.upper()}" for name in DEFAULTS if name not in given))


def fixed(command: str) -> dict[str, str]:
    """The variables that are set for a command."""
    return {"SLURM_TIME_FORMAT": "%s"} if command in PRINTS_TIMES else {}
