"""Other machines: each with a network of its own, a cable to this machine, a host name and a boot of its own.

A machine is a network namespace; what runs on it also has a mount namespace, in which the kernel's boot id is
another one, and a host name. It shares the file system of this machine.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
ENTER: Final = f'mount --bind "$1" {BOOT_ID} && hostname "$2" && shift 2 && exec "$@"'

_numbers = itertools.count()


@dataclass
class Machine:
    """Another machine.

    Attributes:
        name: its host name.
        namespace: of its network.
        cable: the end of its cable on this machine.
        near: the address of this machine on the cable.
        boot: the file with its boot id.
    """

    name: str
    namespace: str
    cable: str
    near: str
    boot: Path
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command that runs a command there."""
        inside = ["unshare", "--mount", "--uts", "sh", "-c", ENTER, "sh", str(self.boot), self.name, *command]
        return ["ip", "netns", "exec", self.namespace, *inside]

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program there."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self._running.append(subprocess.Popen(self.argv(command), text=True, **{**pipes, **options}))
        return self._running[-1]

    def run(self, command: Sequence[str], *, code: int = 0, **options: Any) -> str:
        """Run a program there to its end; returns what it printed."""
        done = subprocess.run(self.argv(command), capture_output=True, text=True, check=False, **options)
        assert done.returncode == code, done.stderr
        return done.stdout

    def plug(self, *, is_in: bool) -> None:
        """Put its network cable in, or pull it."""
        _ip("link", "set", self.cable, "up" if is_in else "down")

    def restart(self) -> None:
        """Give it another boot id, as after a power failure; what still runs there is killed."""
        self.end()
        self.boot.write_text(f"{uuid.uuid4()}\n", encoding="ascii")

    def end(self) -> None:
        """Kill all that runs there."""
        command = ["ip", "netns", "pids", self.namespace]
        for pid in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        for process in self._running:
            process.wait()
            for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._running.clear()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def machines(folder: Path, *names: str) -> Iterator[list[Machine]]:
    """Other machines with these names, which reach this one at the address `near` of any of them."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("NOT TRIED: networks of their own need root, and the command ip")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_machine(folder, name)) for name in names]


@contextlib.contextmanager
def _machine(folder: Path, name: str) -> Iterator[Machine]:
    number = next(_numbers)
    tag = f"{os.getpid() % 100_000}-{number}"
    net = f"10.{100 + os.getpid() % 100}.{os.getpid() // 100 % 60 * 4 + number % 4}"
    boot = folder / f"boot-of-{name}"
    boot.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
    machine = Machine(name, f"exp-{tag}", f"ve{tag}", f"{net}.1", boot)
    inner = f"vi{tag}"
    _ip("netns", "add", machine.namespace)
    try:
        _ip("link", "add", machine.cable, "type", "veth", "peer", "name", inner, "netns", machine.namespace)
        _ip("addr", "add", f"{net}.1/24", "dev", machine.cable)
        machine.plug(is_in=True)
        for arguments in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{net}.2/24", "dev", inner),
            ("link", "set", inner, "up"),
            ("route", "add", "default", "via", f"{net}.1"),
        ):
            _ip("-n", machine.namespace, *arguments)
        yield machine
    finally:
        machine.end()
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "del", machine.cable)
        _ip("netns", "del", machine.namespace)
