"""The memory in use on this machine's GPUs: one query of nvidia-smi that runs in the background."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from nemorun_cli.system.hardware import ORDER, PATIENCE, PROGRAM, VISIBLE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Sequence

MEMORY_QUERY: Final = ("--query-gpu=index,uuid,memory.used,name", "--format=csv,noheader,nounits")
USE_QUERY: Final = ("--query-gpu=index,uuid,memory.used,utilization.gpu,name", MEMORY_QUERY[1])
UNIT: Final = 1 << 20  # bytes per unit of `memory.used`
FIRST_LOOK: Final = 0.05  # seconds after its start at which a query is first examined
LOOK_GROWTH: Final = 0.5  # further examinations: whenever its age has grown by this fraction
END_WAIT: Final = 0.5  # seconds that the end of a killed query may take when its caller closes it

_LARGEST: Final = 1 << 16  # bytes that are read of an answer, which is what a pipe holds
_COUNT: Final = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """The bytes in use on one GPU, None if that is unknown; its `number` is the index in nvidia-smi.

    `utilization` is the percentage of the last moments in which it computed, if that was asked for.
    """

    number: int
    uuid: str
    memory: int | None
    model: str
    utilization: int | None = None


def parse(output: str, *, query: Sequence[str] = MEMORY_QUERY) -> list[GpuMemory]:
    """The GPUs in the output of a query; what is unknown is a text there, such as `[N/A]`."""
    columns = query[0].count(",") + 1
    rows = [[part.strip() for part in line.split(",", columns - 1)] for line in output.splitlines()]
    return [
        GpuMemory(
            number,
            uuid,
            None if (memory := _count(used)) is None else memory * UNIT,
            model,
            _count(use[0]) if use else None,
        )
        for index, uuid, used, *use, model in (row for row in rows if len(row) == columns)
        if (number := _count(index)) is not None
    ]


def _count(text: str) -> int | None:
    return int(text) if _COUNT.fullmatch(text) else None


def memory_in_use(
    wanted: Sequence[str], found: Sequence[GpuMemory], *, are_numbers_certain: bool
) -> int | None:
    """The bytes in use on these GPUs together, named as in `CUDA_VISIBLE_DEVICES`; None if one is unknown.

    Unless `are_numbers_certain`, numbers count only on a machine whose GPUs are all of one model: CUDA may
    number different models in another order than nvidia-smi. Parts of a GPU (MIG) are not among these rows.
    """
    memories = [
        None if gpu is None else gpu.memory
        for gpu in chosen(wanted, found, are_numbers_certain=are_numbers_certain)
    ]
    known = [memory for memory in memories if memory is not None]
    return sum(known) if len(known) == len(memories) else None


def chosen(
    wanted: Sequence[str], found: Sequence[GpuMemory], *, are_numbers_certain: bool
) -> list[GpuMemory | None]:
    """The GPUs of these names, each None if it is not certain which one it is; see `memory_in_use`."""
    are_numbers_certain |= len({gpu.model for gpu in found}) == 1
    gpus: list[GpuMemory | None] = []
    for name in wanted:
        matching = [gpu for gpu in found if _is_named(gpu, name)]
        is_certain = len(matching) == 1 and (are_numbers_certain or not name.isdigit())
        gpus.append(matching[0] if is_certain else None)
    return gpus


def _is_named(gpu: GpuMemory, name: str) -> bool:
    """Whether CUDA accepts this name for the GPU: its number, or a prefix of its id."""
    return gpu.number == int(name) if name.isdigit() else gpu.uuid.startswith(name)


def has_order_of_nvidia_smi(given: Iterable[str]) -> bool:
    """Whether the GPU numbers of a task with these variables are those of nvidia-smi, whatever the models.

    They are if `hardware.environment` sets the order of the GPUs.
    """
    return not {VISIBLE, ORDER} & {*given, *os.environ}


class MemoryQuery:
    """One nvidia-smi process, which its caller examines at `due` until it has ended; a hanging one is killed.

    It is in this process's session, so that nobody else reaps it, and in a process group of its own.
    """

    def __init__(self, program: str, query: Sequence[str] = MEMORY_QUERY) -> None:
        import subprocess  # noqa: PLC0415 - only for tasks with GPUs

        self.asked = time.monotonic()
        self._query = query
        self.seconds = 0.0  # that it took
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [program, *query],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        self._answer = self._process.stdout
        os.set_blocking(self._answer.fileno(), False)

    @classmethod
    def start(cls, query: Sequence[str] = MEMORY_QUERY) -> Self | None:
        """Start a query; None without nvidia-smi, or if no process can be started now."""
        program = shutil.which(PROGRAM)
        try:
            return cls(program, query) if program else None
        except OSError:
            return None

    @property
    def due(self) -> float:
        """The monotonic time at which to examine it."""
        now = time.monotonic()
        return now + max(FIRST_LOOK, LOOK_GROWTH * (now - self.asked))

    def has_ended(self) -> bool:
        """Whether the process has ended. Never waits: a process that a driver holds cannot be killed."""
        if self._process.poll() is not None:
            self.seconds = time.monotonic() - self.asked
            return True
        if time.monotonic() >= self.asked + PATIENCE:
            self._kill()
        return False

    def gpus(self) -> list[GpuMemory]:
        """What an ended query reported; nothing if it failed. Releases its descriptor."""
        output = b""
        with self._answer, contextlib.suppress(BlockingIOError):  # a child that it left keeps the pipe open
            output = os.read(self._answer.fileno(), _LARGEST)
        self._reap_group()
        return [] if self._process.returncode else parse(output.decode(errors="replace"), query=self._query)

    def close(self) -> None:
        """End a query that is no longer needed."""
        import subprocess  # noqa: PLC0415 - it is loaded

        self._kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_WAIT)
        self._reap_group()
        self._answer.close()
        if self._process.returncode is None:
            self._process.returncode = -signal.SIGKILL  # otherwise Popen warns that the process still runs

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it may have ended just now
            os.killpg(self._process.pid, signal.SIGKILL)

    def _reap_group(self) -> None:
        """Reap what nvidia-smi, where it is a script, left to this process as a subreaper."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-self._process.pid, os.WNOHANG) != (0, 0):
                pass
