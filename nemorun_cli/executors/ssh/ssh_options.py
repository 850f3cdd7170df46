"""The options of an ssh executor: its hosts, how each is reached, and the part of it that tasks may use."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.executors.remote_hosts.ssh_client import HOST_OPTIONS, Tunnel
from nemorun_cli.model import remote_host
from nemorun_cli.model.units import size
from nemorun_cli.system import hardware, user

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE: Final = "-"  # a limit that is not set
DEFAULT_FOLDER: Final = "/var/tmp/exp-{user}"  # noqa: S108 - a path of the host, whose owner is checked there

_HOST: Final[Mapping[str, Any]] = {
    **HOST_OPTIONS,
    "slots": {
        "title": "how many tasks may run on the host at once",
        "type": "integer",
        "minimum": 1,
    },
    **hardware.OPTIONS,
}

OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["hosts"],
    "properties": {
        "hosts": {
            "title": "a list of hosts, each a name or a mapping with `host`",
            "type": "array",
            "minItems": 1,
            "items": {
                "title": "a host as ssh takes it, or a mapping with `host`",
                "anyOf": [
                    {"type": "string", "pattern": remote_host.HOST},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["host"],
                        "properties": _HOST,
                    },
                ],
            },
            "examples": [["gpu1", {"host": "gpu2", "slots": 4}]],
        },
        "job_dir": {
            "title": "an absolute path on the remote host, of letters, digits and ./_=@%+,~-",
            "type": "string",
            "pattern": remote_host.FOLDER,
        },
        "pre_command": {
            "title": "shell code that runs first, such as module load slurm",
            "type": "string",
            "pattern": r"^[^\x00]+(?![\s\S])",
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SshHost:
    """One host: how it is reached, and the part of it that tasks may use.

    Attributes:
        tunnel: how it is reached.
        limits: TASKS:CPUS:BYTES:GPUS, as `host.sh` takes them.
    """

    tunnel: Tunnel
    limits: str

    @property
    def is_default_folder(self) -> bool:
        """Whether its folder is not one that the spec names, so that it has to belong to the user alone."""
        return self.tunnel.job_dir.startswith(DEFAULT_FOLDER.partition("{")[0])

    @classmethod
    def of(cls, entry: str | Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """The host of an entry of `hosts`."""
        given = {"host": entry} if isinstance(entry, str) else dict(entry)
        reached = {name: given[name] for name in HOST_OPTIONS if name in given}
        folder = options.get("job_dir") or DEFAULT_FOLDER.format(user=_plain(user.name()))
        tunnel = Tunnel.of({**reached, "job_dir": folder, "pre_command": options.get("pre_command")})
        return cls(tunnel=tunnel, limits=_limits(given))

    @property
    def name(self) -> str:
        """What the spec calls it."""
        return self.tunnel.host

    @property
    def file_name(self) -> str:
        """A name for files about it, which differs where the same name is reached in another way."""
        settings = asdict(self.tunnel)
        settings.pop("pre_command")
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.name}-{key}"


def hosts_of(options: Mapping[str, Any]) -> list[SshHost]:
    """The hosts of an executor's options; of several entries for one, the first."""
    hosts: dict[str, SshHost] = {}
    for entry in options["hosts"]:
        host = SshHost.of(entry, options)
        hosts.setdefault(host.file_name, host)
    return list(hosts.values())


def names_in(options: Mapping[str, Any]) -> list[str]:
    """The names of the hosts in options that may be invalid."""
    entries = options.get("hosts")
    names = [
        entry.get("host") if isinstance(entry, dict) else entry
        for entry in (entries if isinstance(entries, list) else [])
    ]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _plain(name: str) -> str:
    """A user's name as a part of a path that needs no quotes."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def _limits(given: Mapping[str, Any]) -> str:
    gpus = given.get("gpus", WHOLE)
    if isinstance(gpus, list):
        gpus = "".join(
            f"{int(gpu) if isinstance(gpu, float) else gpu}," for gpu in gpus
        )  # `,` makes it a list
    memory = size(given["memory"]) if "memory" in given else WHOLE
    return ":".join(
        str(value) for value in (given.get("slots", WHOLE), given.get("cpus", WHOLE), memory, gpus)
    )
