"""The options of a Slurm executor's `tunnel`: how a cluster behind ssh is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.remote_hosts.ssh_client import HOST_OPTIONS, Tunnel
from nemorun_cli.model import remote_host

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY: Final = "tunnel."  # precedes the names of the options in the spec

OPTIONS_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "how the cluster is reached: host, job_dir; and user, port, identity, pre_command, artifacts",
    "type": "object",
    "additionalProperties": False,
    "required": ["host", "job_dir"],
    "properties": {
        **HOST_OPTIONS,
        "pre_command": {
            "title": "shell code that runs first, such as module load slurm",
            "type": "string",
            "pattern": r"^[^\x00]+(?![\s\S])",
        },
        "artifacts": {
            "title": "a list of globs of files in the experiment's folder, such as results/**",
            "type": "array",
            "items": {
                "title": "a glob relative to the experiment's folder, without ..",
                "type": "string",
                "pattern": remote_host.ARTIFACT,
            },
        },
        "job_dir": {
            "title": "an absolute path on the remote host, of letters, digits and ./_=@%+,~-",
            "type": "string",
            "pattern": remote_host.FOLDER,
        },
    },
}


def tunnel_of(options: Mapping[str, Any]) -> Tunnel:
    """The tunnel of an executor with these options."""
    given = {name: value for name, value in options["tunnel"].items() if name != "artifacts"}
    return Tunnel.of(given, key=KEY)
