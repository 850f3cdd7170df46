"""torchrun: starts distributed training on one node or on all nodes of a Slurm job.

Its options are those of `torch.distributed.run`, written with `_`, which every version accepts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.executors.launchers import LaunchSetting

PROGRAM: Final = "torchrun"
FIRST_PORT: Final = 29500  # torchrun's default; jobs on one node get different ports by their ids
PORTS: Final = 1000

_PYTHON: Final = re.compile(r"python[0-9.]*")
_TEXT: Final = {"title": "text that is not empty", "type": "string", "minLength": 1}
_COUNT: Final = {"title": "a whole number from 0 on", "type": "integer", "minimum": 0}
_STREAMS: Final = {
    "title": "a number of streams (3 is both), or a text such as 0:3,1:2",
    "type": ["integer", "string"],
}
_PORT: Final = {"title": "a port", "type": "integer", "minimum": 1, "maximum": 65535}

# If one of these options is set, the user configures the rendezvous.
_RENDEZVOUS: Final = frozenset(("rdzv_endpoint", "master_addr", "node_rank"))

# Runs on each node. Variables begin with EXP_, which no variable of the task may. The first host of a list
# such as gpu[03-05,9]-ib,login is the text before the brackets, the first item in them, and the text after.
_ON_SLURM: Final = """\
EXP_REST=${{SLURM_STEP_NODELIST:-${{SLURM_JOB_NODELIST:-}}}} EXP_HOST=
if [ -z "$EXP_REST" ]; then
    echo 'exp: torchrun finds other nodes by variables of Slurm, which are not set: give rdzv_endpoint' >&2
    exit 2
fi
while :; do
    EXP_PART=${{EXP_REST%%[[,]*}}
    EXP_HOST=$EXP_HOST$EXP_PART EXP_REST=${{EXP_REST#"$EXP_PART"}}
    case $EXP_REST in
    '['*) EXP_REST=${{EXP_REST#?}} ;;
    *) break ;;
    esac
    EXP_HOST=$EXP_HOST${{EXP_REST%%[],-]*}} EXP_REST=${{EXP_REST#*]}}
done
exec "$0" {nnodes}--node_rank="${{SLURM_NODEID:-0}}" --rdzv_id="${{SLURM_JOB_ID:-0}}" \\
    --rdzv_endpoint="$EXP_HOST:{port}" "$@"
"""
_NODE_COUNT: Final = '--nnodes="${SLURM_STEP_NUM_NODES:-${SLURM_NNODES:-1}}" '
_PORT_BY_JOB: Final = f"$(({FIRST_PORT} + ${{SLURM_JOB_ID:-0}} % {PORTS}))"


class Torchrun:
    """Launches with torchrun; on several nodes the rendezvous is at the first node of the Slurm job."""

    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "nnodes": {
                "title": "a number of nodes, or MIN:MAX",
                "type": ["integer", "string"],
                "minimum": 1,
                "pattern": r"^[1-9][0-9]*(:[1-9][0-9]*)?(?![\s\S])",
            },
            "nproc_per_node": {
                "title": "a number of processes, auto, gpu, cpu or xpu",
                "type": ["integer", "string"],
                "minimum": 1,
                "pattern": r"^(auto|gpu|cpu|xpu|[1-9][0-9]*)(?![\s\S])",
            },
            "node_rank": _COUNT,
            "rdzv_backend": _TEXT,
            "rdzv_endpoint": _TEXT,
            "rdzv_port": _PORT,
            "rdzv_id": {"title": "text or a number", "type": ["string", "integer"]},
            "rdzv_conf": {"title": "a mapping", "type": "object"},
            "max_restarts": _COUNT,
            "monitor_interval": {"title": "a number of seconds", "type": "number", "minimum": 0},
            "start_method": {"enum": ["spawn", "fork", "forkserver"]},
            "role": _TEXT,
            "log_dir": _TEXT,
            "redirects": _STREAMS,
            "tee": _STREAMS,
            "local_ranks_filter": {"title": "ranks with commas between", "type": ["string", "integer"]},
            "local_addr": _TEXT,
            "master_addr": _TEXT,
            "master_port": _PORT,
            "event_log_handler": _TEXT,
            "logs_specs": _TEXT,
            "numa_binding": {"enum": ["node", "socket", "exclusive", "core-complex"]},
            "signals_to_handle": _TEXT,
        },
    }

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    def problems(self, setting: LaunchSetting) -> Iterable[str]:
        """Executor options that conflict with torchrun, which is started once on each node."""
        executor = setting.executor
        for name in ("ntasks_per_node", "ntasks"):
            allowed = (1, executor.get("nodes", 1)) if name == "ntasks" else (1,)
            if name in executor and executor[name] not in allowed:
                yield (
                    f"torchrun starts the processes of a node itself, and {name} is {executor[name]}:"
                    " use nproc_per_node"
                )
        if self._uses_slurm_rendezvous(setting) and executor.get("srun") is False:
            yield "torchrun is started on each node by srun, and srun is false: leave that out"

    def argv(self, argv: tuple[str, ...], setting: LaunchSetting) -> tuple[str, ...]:
        """The command line of torchrun, for one node or for each of several."""
        options = {**self._defaults(setting), **self._options}
        port = options.pop("rdzv_port", None)
        if self._uses_slurm_rendezvous(setting):
            options = {"rdzv_backend": "c10d", **options}
            nnodes = "" if "nnodes" in options else _NODE_COUNT
            text = _ON_SLURM.format(nnodes=nnodes, port=_PORT_BY_JOB if port is None else port)
            lead: tuple[str, ...] = ("sh", "-c", text, PROGRAM)
        elif port is not None or options.keys() & (_RENDEZVOUS | {"rdzv_backend"}):
            if port is not None and "rdzv_endpoint" not in options:
                options["rdzv_endpoint"] = f"localhost:{port}"
            lead = (PROGRAM,)
        else:
            lead = (PROGRAM, "--standalone")
        return (*lead, *(_flag(name, value) for name, value in options.items()), *_program(argv))

    def _uses_slurm_rendezvous(self, setting: LaunchSetting) -> bool:
        nodes = self._options.get("nnodes", setting.executor.get("nodes", 1))
        return nodes not in (1, "1") and not self._options.keys() & _RENDEZVOUS

    def _defaults(self, setting: LaunchSetting) -> dict[str, Any]:
        """One process for each GPU of the task on a node, if the spec sets that number."""
        count = str(setting.executor.get("gpus_per_node", "")).rpartition(":")[2]
        gpus = int(count) if count.isdecimal() else None
        if gpus is None and not self._uses_slurm_rendezvous(setting):
            gpus = setting.gpus
        return {"nproc_per_node": gpus} if gpus else {}


def _flag(name: str, value: Any) -> str:
    if isinstance(value, dict):
        value = ",".join(f"{key}={item}" for key, item in value.items())
    return f"--{name}={value}"


def _program(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The program for torchrun: its own Python runs scripts and modules; other programs run directly."""
    program, *rest = argv
    if _PYTHON.fullmatch(program):
        script = rest[1:] if rest[:1] == ["-u"] else rest
        if script[:1] == ["-m"] or (script and not script[0].startswith("-")):
            return tuple(script)
    return argv if program.endswith(".py") or program == "-m" else ("--no_python", *argv)
