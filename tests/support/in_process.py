"""The command line called in the test's own process, which takes milliseconds where a process takes 80."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

LIMIT: Final = 120.0  # seconds until a call that does not return ends the test's process

# What functions of these modules remember depends on the environment or on files: it is of one command only.
REMEMBERING: Final = (
    "nemorun_cli.system.environment",
    "nemorun_cli.spec.tasks.callables",
    "nemorun_cli.experiment.plugin_checks",
)


def run(
    argv: Sequence[str],
    *,
    program: str,
    folder: Path,
    env: Mapping[str, str],
    on_terminal: bool = False,
    is_merged: bool = False,
) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of the command, run in a folder and environment.

    Everything that belongs to the process is restored afterwards. With `on_terminal` both outputs are
    terminals for the command, as wide as COLUMNS; nothing is drawn unless TERM names their type. With
    `is_merged`, both texts are that of one stream, as with `2>&1`.
    """
    _forget()
    out, err = (_Terminal() if on_terminal else _stream() for _ in range(2))
    err = out if is_merged else err
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    try:
        with _state_of_process(folder, env):
            sys.argv = [program, *argv]
            sys.stdin, sys.stdout, sys.stderr = _stream(), out, err
            code = app.run(argv)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return code, _text(out), _text(err)


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


class _Terminal(io.TextIOWrapper):
    """A stream that is a terminal by its own account."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return True


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode(errors="surrogateescape")  # logs are bytes


def _forget() -> None:
    for name in REMEMBERING:
        for value in list(vars(sys.modules.get(name, object)).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()


@contextlib.contextmanager
def _state_of_process(folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """The folder and environment of a command; afterwards those of before, and no module of the test's."""
    environment, path, modules = dict(os.environ), list(sys.path), set(sys.modules)
    streams, argv = (sys.stdin, sys.stdout, sys.stderr), sys.argv
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    mask = os.umask(0)
    os.umask(mask)
    try:
        os.chdir(folder)
        _set_environment(env)
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
        sys.argv, sys.path[:] = argv, path
        os.umask(mask)
        os.fchdir(before)
        os.close(before)
        _set_environment(environment)
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(f"{folder.parent}/"):
                del sys.modules[name]


def _set_environment(wanted: Mapping[str, str]) -> None:
    """Change only what differs."""
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
