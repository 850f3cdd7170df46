"""Senders that programs of a test have started, and what they have delivered."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import psutil
from support.patience import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from support.served import Served


def end_senders(folder: Path) -> None:
    """End the senders of all outboxes below a folder, and wait for their end; also those that just start."""

    def have_ended() -> bool:
        left = senders(folder)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return not left

    eventually(have_ended)


def senders(folder: Path) -> list[int]:
    """The pids of the senders of outboxes below a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(
            word == "nemorun_cli.replication.sender" and words[-1].startswith(str(folder)) for word in words
        ):
            found.append(process.pid)
    return found


def replica(server: Served, prefix: str) -> Path:
    """The folder of the server's copy of a record."""
    return server.own.parent / prefix / ".record"


def differences(left: Path, right: Path) -> str:
    """What `diff -r` says about two folders."""
    done = subprocess.run(["diff", "-r", str(left), str(right)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
