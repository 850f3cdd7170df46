"""The process that makes one environment: `python -m nemorun_cli.packagers.environments.maker_process`.

Its order is one line of JSON on standard input: the home, the environment, and the experiment that needs it.
It answers with lines of JSON: `waits` while another process makes the same one, `making`, and at the end
`done` or `failed`. If it is killed, the environment has no manifest, and the next process makes it again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.clock import stamp
from nemorun_cli.model.python_environment import CHANGED, PythonEnvironment
from nemorun_cli.packagers.environments import existing, interpreters, remote_making, requirements, store
from nemorun_cli.packagers.environments.interpreters import EnvironmentFault
from nemorun_cli.packagers.environments.remote_making import EnvironmentHost
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import crashpoints, locks
from nemorun_cli.system.backoff import Backoff
from nemorun_cli.system.file_end import CHUNK, last_bytes
from nemorun_cli.system.files import (
    descriptor_to_append,
    descriptor_to_change,
    descriptor_to_read,
    make_folder,
    write,
)
from nemorun_cli.system.locks import Holder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRST_PAUSE: Final = 2.0  # seconds until a host that cannot be reached is tried again
LONGEST_PAUSE: Final = 60.0
LAST_LINES: Final = 6  # of the installer's output, that a message has, if none of them begins an error
LONGEST_END: Final = 800  # characters of the message

_FRAMES: Final = re.compile(r"^[\s\u2500-\u257f\u25b6\u00d7?]+")  # with which uv draws its errors
_ERROR: Final = re.compile(r"error:|\s+\u00d7 ")  # with which its errors begin
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_OF_OTHERS: Final = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT")


@dataclass(frozen=True, slots=True)
class _Order:
    """What this process has to make, and for whom."""

    home: Home
    environment: PythonEnvironment
    experiment: str
    host: dict[str, Any] | None = None  # see `remote_making.EnvironmentHost`


def main() -> int:
    """Make the environment of the order, or wait until another process has made it; returns the exit code."""
    document = json.loads(sys.stdin.buffer.readline())
    order = _Order(
        Home(Path(document["home"])),
        PythonEnvironment.from_json(document["environment"]),
        document["experiment"],
        document.get("host"),
    )
    try:
        _answer("done", **_made(order))
    except EnvironmentFault as fault:
        _answer("failed", message=fault.message + (f" ({fault.hint})" if fault.hint else ""))
        return 1
    except OSError as error:
        where = error.filename or order.home.environments
        _answer("failed", message=f"{error.strerror or error}: {where}")
        return 1
    return 0


def _answer(kind: str, **values: Any) -> None:
    with contextlib.suppress(OSError):  # the supervisor was killed: the environment is made nevertheless
        os.write(1, json.dumps({"event": kind, **values}).encode() + b"\n")


def _made(order: _Order) -> dict[str, Any]:
    """What is known of the environment, which is made unless it is complete."""
    make_folder(order.home.environments)
    descriptor = _locked(order)
    try:
        if order.host is not None:
            return _make_on_host(order, EnvironmentHost(**order.host))
        if (known := store.manifest(order.home, order.environment.id)) is not None:
            return known
        crashpoints.point("environment.locked")
        _answer("making")
        return _make(order, descriptor)
    finally:
        os.close(descriptor)


def _locked(order: _Order) -> int:
    """The descriptor of the environment's lock, once no other process makes or removes it."""
    path = store.lock_of(order.home, order.environment.id)
    while True:
        descriptor = locks.take(path)
        if descriptor is not None:
            break
        holder = locks.read_holder(path)
        named = f"process {holder.pid} on {holder.host}" if holder and holder.pid else "another process"
        _answer("waits", message=f"{named} makes it")
        waiting = descriptor_to_change(path)
        try:
            fcntl.flock(waiting, fcntl.LOCK_EX)
        finally:
            os.close(waiting)
    me = Holder(pid=os.getpid(), host=locks.hostname(), boot=locks.boot_id(), since=stamp())
    locks.write_holder(descriptor, me)
    return descriptor


def _make(order: _Order, lock: int) -> dict[str, Any]:
    environment, folder = order.environment, store.place(order.home, order.environment.id)
    _require_unchanged(environment)
    interpreter = interpreters.ask(environment.interpreter)
    if interpreter is None or interpreter.version != environment.version:
        now = "it does not run" if interpreter is None else f"it is now Python {interpreter.version}"
        message = f"its Python, {environment.interpreter}, {CHANGED}: {now}"
        raise EnvironmentFault(message, hint="run the experiment again")
    uv = interpreters.installer()
    store.clear(order.home, environment.id)
    log = store.log_of(order.home, environment.id)
    log.unlink(missing_ok=True)
    started = stamp()
    _run([uv, "venv", "--python", environment.interpreter, str(folder)], environment, log=log, lock=lock)
    crashpoints.point("environment.empty")
    lists = {"requirements": environment.requirements, "constraints": environment.constraints}
    for name, lines in lists.items():
        write(folder / f"{name}.txt", "".join(f"{line}\n" for line in lines))
    install = [uv, "pip", "install", "--python", str(folder / "bin" / "python")]
    install += ["--requirements", str(folder / "requirements.txt")]
    install += ["--constraints", str(folder / "constraints.txt")] if environment.constraints else []
    install += ["--refresh"] if environment.files else []  # else uv takes an older build of a local folder
    if environment.requirements:
        _run(install, environment, log=log, lock=lock)
    crashpoints.point("environment.installed")
    _require_unchanged(environment)
    version, packages = existing.versions("uv", folder)
    known = {
        "id": environment.id,
        "text": environment.text,
        "version": version or environment.version,
        "packages": packages,
        "started": started,
        "made": stamp(),
        "experiment": order.experiment,
    }
    store.complete(order.home, environment.id, known)
    return known


def _make_on_host(order: _Order, host: EnvironmentHost) -> dict[str, Any]:
    """What is known of an environment on another host, which is made there unless it is complete."""
    _answer("making")
    log = store.log_of(order.home, order.environment.id)
    log.unlink(missing_ok=True)
    text = remote_making.text(order.environment, folder=host.folder, pre_command=host.pre_command)
    pauses = Backoff(first=FIRST_PAUSE, longest=LONGEST_PAUSE)
    while (result := _ask(host, text, log)).returncode == remote_making.UNREACHABLE:
        _answer("waits", message=f"{order.environment.host} cannot be reached: {last_lines(log)}")
        time.sleep(pauses.next())
        log.unlink(missing_ok=True)
    name = order.environment.host
    if result.returncode == remote_making.NO_UV:
        raise EnvironmentFault(
            f"uv is not installed on {name}", hint="install it there, or name it by pre_command"
        )
    if result.returncode:
        what = "uv failed" if result.returncode == remote_making.FAILED else "it cannot be made"
        raise EnvironmentFault(f"{what} on {name}: {last_lines(log)}", hint=f"its whole output: {log}")
    return remote_making.known(result.stdout.decode(errors="replace"))


def _ask(host: EnvironmentHost, text: str, log: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a text on another host, with its error output in the log."""
    output = descriptor_to_append(log)
    try:
        return subprocess.run(
            host.argv, input=text.encode(), stdout=subprocess.PIPE, stderr=output, cwd="/", check=False
        )
    finally:
        os.close(output)


def _require_unchanged(environment: PythonEnvironment) -> None:
    for path, digest in environment.files.items():
        if requirements.hash_of(path) != digest:
            raise EnvironmentFault(f"{path} {CHANGED}", hint="run the experiment again, or restore the file")


def _run(argv: Sequence[str], environment: PythonEnvironment, *, log: Path, lock: int) -> None:
    """Run uv, with what it prints in the log; it inherits the lock, so that nobody disturbs what it writes.

    Raises:
        EnvironmentFault: it failed; the message has the last lines that it printed.
    """
    output = descriptor_to_append(log)
    os.set_inheritable(lock, True)
    folder = environment.folder if Path(environment.folder).is_dir() else "/"
    try:
        result = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=_variables(os.environ),
            close_fds=True,
            pass_fds=[lock],
            check=False,
        )
    finally:
        os.close(output)
    if result.returncode:
        step = " ".join(argv[1:3]) if argv[1] == "pip" else argv[1]
        end = last_lines(log)
        raise EnvironmentFault(f"uv {step} failed: {end}", hint=f"its whole output: {log}")


def _variables(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of uv: without that of another Python, and nothing but packages is downloaded."""
    kept = {name: value for name, value in inherited.items() if name not in _OF_OTHERS}
    fixed = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    return {**kept, **fixed, "PATH": inherited.get("PATH") or os.defpath}


def last_lines(log: Path) -> str:
    """The error that an installer printed, or else its last lines, as one line without frames and colours."""
    try:
        descriptor = descriptor_to_read(log)
        try:
            text = last_bytes(descriptor, CHUNK)[0].decode(errors="replace")
        finally:
            os.close(descriptor)
    except OSError as error:
        return f"its output cannot be read: {error.strerror}"
    lines = _COLOURS.sub("", text).splitlines()
    starts = [number for number, line in enumerate(lines) if _ERROR.match(line)]
    chosen = lines[starts[0] if starts else -LAST_LINES :]
    end = " ".join(filter(None, (_FRAMES.sub("", line).strip() for line in chosen)))
    return end if len(end) <= LONGEST_END else f"{end[: LONGEST_END // 2]} … {end[-LONGEST_END // 2 :]}"


if __name__ == "__main__":
    sys.exit(main())
