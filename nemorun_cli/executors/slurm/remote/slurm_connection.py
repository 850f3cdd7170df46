"""Runs Slurm's commands on a remote host, with the environment that they have on a host of the cluster."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.remote_hosts.connection import Connection
from nemorun_cli.executors.slurm.commands import fixed, kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors.remote_hosts.connection import RemoteRequest
    from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel

PRELUDE: Final = """\
# Commands that are missing from the PATH of a session without a terminal may be on that of a login.
if ! command -v sbatch >/dev/null 2>&1 && [ -r /etc/profile ]; then . /etc/profile; fi >/dev/null 2>&1
exp_ask() {
    # Run one of Slurm's commands with the same environment as on a host of the cluster.
    exp_settings=$1 exp_name=$2
    shift 2
    if ! exp_program=$(command -v -- "$exp_name"); then
        echo "there is no $exp_name on PATH" >&2
        return 127
    fi
    eval "set -- $exp_settings \\"PATH=\\$PATH\\" \\"\\$exp_program\\" \\"\\$@\\""
    env -i "$@" </dev/null
}
"""


class SlurmConnection(Connection):
    """Runs Slurm's commands in the round trips of a connection.

    Args:
        tunnel: how the host is reached.
        given: the sbatch options that the spec sets; their defaults in the environment are ignored.
    """

    own = "--me"

    def __init__(self, tunnel: Tunnel, given: Iterable[str]) -> None:
        super().__init__(tunnel, prelude=PRELUDE)
        self._given = frozenset(given)

    def ask(self, argv: Sequence[str]) -> RemoteRequest:
        """Run one of Slurm's commands in the next round trip."""
        return self.send(self.text(argv), name=argv[0])

    def text(self, argv: Sequence[str]) -> str:
        """The shell text that runs one of Slurm's commands."""
        return command_text(argv, settings=kept(argv[0], self._given), fixed=fixed(argv[0]))


def command_text(argv: Sequence[str], *, settings: Sequence[str], fixed: Mapping[str, str]) -> str:
    """The shell text that runs one of Slurm's commands.

    Args:
        argv: the command.
        settings: names of variables that it inherits on the remote host.
        fixed: further variables, with their values; PATH is that of the session.
    """
    inherited = " ".join(f'${{{name}+"{name}=${name}"}}' for name in settings)
    assigned = " ".join(shlex.quote(f"{name}={value}") for name, value in fixed.items())
    return f"exp_ask {shlex.quote(f'{inherited} {assigned}')} {shlex.join(argv)}"
