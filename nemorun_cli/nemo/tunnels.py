"""NeMo-Run's tunnels, translated to the `tunnel` of a Slurm executor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from nemorun_cli.nemo.field_rules import Rules, WithoutMeaning, change, option
from nemorun_cli.nemo.named_fields import NamedFields


@dataclass(kw_only=True)
class Tunnel(NamedFields):
    """How a cluster is reached."""

    job_dir: str
    host: str
    user: str
    packaging_jobs: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The user and the host."""
        return f"{self.user}@{self.host}"

    def translated(self) -> dict[str, Any]:
        """The options of `tunnel`; empty if the cluster's commands are on this machine."""
        return dict(change(self, RULES[type_of(self)]).options)


@dataclass(kw_only=True)
class LocalTunnel(Tunnel):
    """No tunnel: the cluster's commands are on this machine."""

    job_dir: str = ""
    host: str = field(default="localhost", init=False)
    user: str = field(default="", init=False)


@dataclass(kw_only=True)
class SSHTunnel(Tunnel):
    """A host that is reached through ssh."""

    port: int | None = None
    identity: str | None = None
    shell: str | None = None
    pre_command: str | None = None
    use_openssh: bool = False
    require_existing_master: bool = False
    control_persist: str | None = None
    control_path: str | None = None


_HERE: Final = WithoutMeaning(
    "the cluster's commands are on this machine, and experiments in `$NEMORUN_HOME`, which its nodes share"
)
_INSIDE: Final = WithoutMeaning("NeMo-Run notes here what it has uploaded")
_CONNECTION: Final = WithoutMeaning(
    "`exp` always uses OpenSSH with one shared connection, and all settings of `~/.ssh/config`"
)

RULES: Final[dict[type[Tunnel], Rules]] = {
    LocalTunnel: {
        "job_dir": _HERE,
        "host": _HERE,
        "user": _HERE,
        "packaging_jobs": _INSIDE,
    },
    SSHTunnel: {
        "host": option("host"),
        "user": option("user"),
        "port": option("port"),
        "identity": option("identity"),
        "job_dir": option("job_dir"),
        "pre_command": option("pre_command"),
        "shell": WithoutMeaning("NeMo-Run does not use it"),
        "packaging_jobs": _INSIDE,
        "use_openssh": _CONNECTION,
        "require_existing_master": _CONNECTION,
        "control_persist": _CONNECTION,
        "control_path": _CONNECTION,
    },
}


def type_of(tunnel: Tunnel) -> type[Tunnel]:
    """The class here that a tunnel, or a class derived from it, belongs to."""
    return next(kind for kind in type(tunnel).__mro__ if kind in RULES)
