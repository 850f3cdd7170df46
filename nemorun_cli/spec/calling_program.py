"""The Python program that builds a spec: its file, the line at work, its interpreter."""

from __future__ import annotations

import builtins
import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType, ModuleType

_OF_TASK: Final = "EXP_TASK"  # a variable of each task
_PACKAGE: Final = __name__.partition(".")[0]


class CallingProgram(NamedTuple):
    """The module that called this package.

    Attributes:
        path: its file; in a notebook or at a prompt a file that the working folder could have.
        line: its line that made the call, counted from 1; None without a file.
        is_imported: whether another module imported it.
        is_main: whether it is a program that runs by itself, in its main thread: no notebook, prompt or test.
    """

    path: Path
    line: int | None
    is_imported: bool
    is_main: bool


def calling() -> CallingProgram:
    """The module that called this package."""
    from pathlib import Path  # noqa: PLC0415 - a program that only imports the package needs none of it

    frame = sys._getframe(1)  # noqa: SLF001 - paths are relative to the calling program
    while _is_own(frame) and frame.f_back is not None:
        frame = frame.f_back
    names = frame.f_globals
    file = names.get("__file__")
    return CallingProgram(
        path=Path(os.path.abspath(file)) if file else Path.cwd() / "spec.yaml",  # noqa: PTH100 - keeps links
        line=frame.f_lineno if file else None,
        is_imported=names.get("__name__") != "__main__",
        is_main=names.get("__name__") == "__main__" and file is not None and not _is_interactive(),
    )


def main_program() -> str | None:
    """The program that runs in this process; None for a notebook, a prompt, a test or a task."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return None if file is None or _is_interactive() or os.environ.get(_OF_TASK) else os.path.abspath(file)  # noqa: PTH100 - keeps links


class EndedImport(BaseException):
    """Ends the import of a program by a task where it would start the experiment again.

    Attributes:
        unfinished: the module, with all that was defined before.
    """

    def __init__(self, program: Path, unfinished: ModuleType) -> None:
        super().__init__(f"the import of {program} ended where it would start the experiment again")
        self.unfinished = unfinished


def end_import_by_task() -> None:
    """End the import of the calling program, if a task does it and the code of the module is at work.

    Raises:
        EndedImport: it is.
    """
    program = calling()
    if not program.is_imported or not os.environ.get(_OF_TASK):
        return
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as above
    while frame is not None:
        if _is_of(frame, program.path) and frame.f_code.co_name == "<module>":
            raise EndedImport(program.path, sys.modules[frame.f_globals["__name__"]])
        frame = frame.f_back


def imported_by_task(program: Path) -> UsageError:
    """The error of a program that would start its experiment in a task."""
    return UsageError(
        f"{program} was imported by a task and would start the experiment again: "
        'put the call of run() under if __name__ == "__main__":'
    )


def line_at_work(path: Path) -> int | None:
    """The line of a program that is at work now; None if it called nothing of this."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the same
    while frame is not None and not _is_of(frame, path):
        frame = frame.f_back
    return None if frame is None else frame.f_lineno


def own_python() -> str | None:
    """The interpreter of this program; None if `python3` on PATH is of the same environment."""
    import shutil  # noqa: PLC0415 - the same

    found = shutil.which("python3")
    is_same = found is not None and os.path.dirname(found) == os.path.dirname(sys.executable)  # noqa: PTH120 - the same
    return None if is_same else sys.executable


def _is_of(frame: FrameType, path: Path) -> bool:
    """Whether a frame is of this file, which a command may have run by a relative path."""
    return os.path.abspath(frame.f_code.co_filename) == str(path)  # noqa: PTH100 - keeps links


def _is_own(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == _PACKAGE


def _is_interactive() -> bool:
    is_watched = sys.flags.interactive or hasattr(sys, "ps1") or hasattr(builtins, "__IPYTHON__")
    is_tested = "pytest" in sys.modules
    threading = sys.modules.get("threading")  # without it, there is one thread
    is_in_main_thread = threading is None or threading.current_thread() is threading.main_thread()
    return bool(is_watched or is_tested) or not is_in_main_thread
