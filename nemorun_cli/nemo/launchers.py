"""NeMo-Run's launchers, translated to the `launcher` of a task."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo import elsewhere
from nemorun_cli.nemo.field_rules import BY_ANOTHER, Change, RefusedValue, Rules, Translated, change, option
from nemorun_cli.nemo.named_fields import NamedFields

_C10D: Final = "c10d"
_PORT: Final = 29500
# nsys writes its report into the folder of the task, which all attempts share; nsys does not make folders.
_NSYS: Final = 'mkdir -p "$EXP_TASK_DIR/{folder}" && exec nsys {words} -o "$EXP_TASK_DIR/{file}"{more} "$@"'


@dataclass(kw_only=True)
class Launcher(NamedFields):
    """A launcher that starts the task as it is, under nsys if `nsys_profile` is true."""

    nsys_profile: bool = False
    nsys_folder: str = "nsys_profile"
    nsys_filename: str = "profile_%p"
    nsys_trace: list[str] = field(default_factory=lambda: ["nvtx", "cuda"])
    nsys_extra_args: list[str] = field(
        default_factory=lambda: [
            "--force-overwrite=true",
            "--capture-range=cudaProfilerApi",
            "--capture-range-end=stop",
            "--cuda-graph-trace=node",
            "--cuda-event-trace=false",
        ]
    )
    nsys_gpu_metrics: bool = False

    def translated(self, *, nodes: int, processes: int) -> dict[str, Any]:
        """The launchers of a task by name, outermost first, for so many nodes and processes on each."""
        del nodes, processes
        return dict(change(self, NSYS).options)


@dataclass(kw_only=True)
class Torchrun(Launcher):
    """A launcher that starts the processes of distributed training with torchrun."""

    rdzv_backend: str = _C10D
    rdzv_port: int = _PORT
    rdzv_id: int | None = None

    def translated(self, *, nodes: int, processes: int) -> dict[str, Any]:
        """The launchers of a task; as in NeMo-Run, one node needs none of the rendezvous' options."""
        own: dict[str, Any] = {"nproc_per_node": processes}
        if nodes > 1:
            own |= {"nnodes": nodes, **change(self, TORCHRUN).options}
        return {**change(self, NSYS).options, "torchrun": own}


def _nsys(launcher: Launcher, value: bool) -> Change:  # noqa: FBT001 - the value of the field
    if not value:
        return Change()
    words = shlex.join(["profile", "-s", "none", "-t", ",".join(launcher.nsys_trace)])
    folder, file = launcher.nsys_folder, f"{launcher.nsys_folder}/{launcher.nsys_filename}"
    more = "".join(f" {shlex.quote(word)}" for word in launcher.nsys_extra_args)
    text = _NSYS.format(folder=_quoted(folder), file=_quoted(file), words=words, more=more)
    return Change(options={"wrap": ["sh", "-c", text, "nsys"]})


def _quoted(text: str) -> str:
    """A text inside of double quotes of a shell."""
    return "".join(f"\\{char}" if char in '\\"$`' else char for char in text)


NSYS: Final[Rules] = {
    "nsys_profile": Translated(_nsys),
    "nsys_folder": BY_ANOTHER,
    "nsys_filename": BY_ANOTHER,
    "nsys_trace": BY_ANOTHER,
    "nsys_extra_args": BY_ANOTHER,
    "nsys_gpu_metrics": RefusedValue(
        why="which processes measure a GPU depends on variables of the cluster",
        instead='add "--gpu-metrics-devices=all" to nsys_extra_args',
    ),
}
TORCHRUN: Final[Rules] = {name: option(name) for name in ("rdzv_backend", "rdzv_port", "rdzv_id")}

NAMED: Final = {
    "torchrun": Torchrun,
    "ft": elsewhere.FaultTolerance,
    "slurm_ray": elsewhere.SlurmRay,
    "slurm_template": elsewhere.SlurmTemplate,
}


def made(launcher: Launcher | str | None) -> Launcher:
    """The launcher that is meant.

    Raises:
        UsageError: it does not exist, or has no counterpart.
    """
    if launcher is None or launcher == "":
        return Launcher()
    if isinstance(launcher, Launcher):
        return launcher
    if not isinstance(launcher, str) or launcher not in NAMED:
        raise UsageError(f"no launcher is called {launcher!r}", hint=choices(str(launcher), NAMED))
    found: Launcher = NAMED[launcher]()
    return found
