"""Locks that the kernel lets go of when their holder dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually

from nemorun_cli.system import locks
from nemorun_cli.system.locks import Holder

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = Holder(pid=7, host="box", boot="b", since="2026-01-01T00:00:00.000Z")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_only_one_takes_it(lock: Path) -> None:
    """Who has it keeps others away until its descriptor is closed."""
    first = locks.take(lock)
    assert first is not None
    assert locks.try_take(lock) is None
    assert locks.take(lock, patience=0.01) is None
    os.close(first)
    second = locks.try_take(lock)
    assert second is not None
    os.close(second)


def test_new_lock_file_is_locked_as_it_is_created(lock: Path) -> None:
    """Who creates the file has the lock; a file that somebody else has created is left to `take`."""
    folder = os.open(lock.parent, os.O_RDONLY)
    first = locks.take_new(lock.name, folder=folder, path=lock.parent)
    assert first is not None
    assert locks.is_held(lock)
    assert locks.is_held(lock.name, folder=folder)
    assert locks.take_new(lock.name, folder=folder, path=lock.parent) is None
    os.close(first)
    assert not locks.is_held(lock.name, folder=folder)
    assert locks.take_new(lock.name, folder=folder, path=lock.parent) is None
    os.close(folder)


def test_lock_falls_with_its_holder(lock: Path) -> None:
    """A process that is killed lets go, and nothing has to be cleaned up."""
    code = (
        "import sys, time; from pathlib import Path; from nemorun_cli.system import locks; "
        "locks.take(Path(sys.argv[1])); print(1, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert locks.is_held(lock)
        assert locks.holder_by_kernel(lock) == process.pid
        process.kill()
    assert not locks.is_held(lock)
    assert locks.holder_by_kernel(lock) is None


def test_lock_lives_as_long_as_whoever_inherited_it(lock: Path) -> None:
    """A child that has the descriptor keeps the lock when its parent has let go."""
    descriptor = locks.take(lock)
    assert descriptor is not None
    with subprocess.Popen(["sleep", "600"], pass_fds=[descriptor]) as child:
        os.close(descriptor)
        assert locks.is_held(lock)
        child.kill()
    eventually(lambda: not locks.is_held(lock))


def test_what_a_killed_supervisor_was_starting_is_no_supervisor(lock: Path) -> None:
    """It has the lock until it begins; that is waited for, and what has it for good is still told."""
    descriptor = locks.take(lock)
    assert descriptor is not None
    with subprocess.Popen(["true"]) as gone:
        pass
    me = Holder(pid=gone.pid, host=locks.hostname(), boot=locks.boot_id(), since="")
    locks.write_holder(descriptor, me)
    assert locks.is_held_by_name(lock)
    threading.Timer(0.03, os.close, [descriptor]).start()
    assert not locks.is_held_by_name(lock)


def test_what_is_not_there_is_held_by_nobody(lock: Path) -> None:
    """A probe makes no file."""
    assert not locks.is_held(lock)
    assert not lock.exists()
    assert locks.read_holder(lock) is None


def test_probes_do_not_see_one_another_nor_keep_a_starter_away(lock: Path) -> None:
    """However many look, nobody is told that it is held, and a starter gets it."""
    lock.touch()
    stop, seen = threading.Event(), []

    def probe() -> None:
        while not stop.is_set():
            seen.append(locks.is_held(lock))

    threads = [threading.Thread(target=probe) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(seen) > 200)
    assert not any(seen[:200])
    taken = locks.take(lock, patience=10)
    stop.set()
    for thread in threads:
        thread.join()
    assert taken is not None
    os.close(taken)


def test_holder_is_written_and_read(lock: Path) -> None:
    """The file says who holds it, and a shorter name leaves nothing of a longer one."""
    descriptor = locks.take(lock)
    assert descriptor is not None
    for holder in (Holder(pid=1, host="a-long-name" * 9, boot="b", since="x"), HOLDER):
        locks.write_holder(descriptor, holder)
        assert locks.read_holder(lock) == holder
    os.close(descriptor)


@pytest.mark.parametrize("content", ["", "{", "[1]", '"x"', "\x00\x01", "null"])
def test_half_written_holder_is_nobody(lock: Path, content: str) -> None:
    """What cannot be read names no one."""
    lock.write_text(content)
    assert locks.read_holder(lock) is None


def test_who_only_looks_is_not_taken_for_a_supervisor(lock: Path) -> None:
    """A lock that is held without a name is held by nobody who supervises."""
    descriptor = locks.take(lock)
    assert descriptor is not None
    locks.write_holder(descriptor, HOLDER)
    assert locks.is_held_by_name(lock)
    os.close(descriptor)
    assert not locks.is_held_by_name(lock)
    looking = locks.try_take_nameless(lock)
    assert looking is not None
    assert locks.is_held(lock)
    assert not locks.is_held_by_name(lock)
    os.close(looking)


def test_host_and_boot_decide_what_is_here() -> None:
    """A holder is believed on the host and boot that it names."""
    here = Holder(pid=1, host=locks.hostname(), boot=locks.boot_id(), since="x")
    assert here.is_here
    assert here.is_this_host
    before = Holder(pid=1, host=locks.hostname(), boot="before", since="x")
    assert not before.is_here
    assert before.is_this_host
    assert not HOLDER.is_this_host


def test_lock_file_is_private(lock: Path) -> None:
    """Nobody else may hold it."""
    descriptor = locks.take(lock)
    assert descriptor is not None
    assert lock.stat().st_mode & 0o777 == 0o600
    os.close(descriptor)
