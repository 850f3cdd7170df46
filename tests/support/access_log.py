"""What this process opens, connects to and starts, seen by the interpreter itself."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS: Final = frozenset(
    {"socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"}
)
PROGRAMS: Final = frozenset({"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "pty.spawn"})


@dataclass
class AccessLog:
    """The files opened, the addresses connected to and the programs started while it was kept."""

    files: set[str] = field(default_factory=set)
    connections: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take in an event of the interpreter."""
        if event == "open" and isinstance(arguments[0], str | bytes):
            self.files.add(_absolute(os.fsdecode(arguments[0])))
        elif event in CONNECTIONS:
            self.connections.append(f"{event} {arguments[-1]!r}")
        elif event in PROGRAMS:
            self.programs.append(f"{event} {arguments[:2]!r}")

    def outside(self, *folders: str) -> list[str]:
        """The files that were opened elsewhere than in these folders, the interpreter's and the kernel's."""
        own = (*folders, *INTERPRETER, "/proc", "/sys")
        allowed = tuple(f"{_absolute(folder)}/" for folder in own)
        return sorted(path for path in self.files - HARMLESS if not f"{path}/".startswith(allowed))


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - without following links, which would open nothing but look


INTERPRETER: Final = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]))
HARMLESS: Final = frozenset({"/dev/null", "/etc/passwd", "/etc/localtime", "/dev/tty"})
_KEPT: list[AccessLog] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for log in _KEPT:
        log.note(event, arguments)


@contextlib.contextmanager
def accesses() -> Iterator[AccessLog]:
    """Keep a log for the length of a block; the interpreter never forgets a hook, so all blocks share one."""
    _install()
    log = AccessLog()
    _KEPT.append(log)
    try:
        yield log
    finally:
        _KEPT.remove(log)


def _install() -> None:
    if not getattr(sys, "_exp_access_hook", False):
        sys.addaudithook(_hook)
        sys._exp_access_hook = True  # type: ignore[attr-defined]
