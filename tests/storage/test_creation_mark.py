"""The key of a home, and what counts as created by it."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.model.spec import Spec, Task
from nemorun_cli.storage import creation_mark
from nemorun_cli.storage.paths import ExperimentFiles, Home
from nemorun_cli.system import locks
from nemorun_cli.system.locks import Holder

if TYPE_CHECKING:
    from pathlib import Path

TASK = Task(id="a", index=0, kind="command", body=("true",), executor="cluster", workdir="/")
SPEC = Spec(name="x", folder="/", tasks=(TASK,), executors={"cluster": {"type": "slurm", "partition": "p"}})
HERE = Holder(pid=1, host=locks.hostname(), boot="", since="")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that exists."""
    return Home(tmp_path)


def make(home: Home, number: int = 1) -> ExperimentFiles:
    """The folder of an experiment."""
    files = ExperimentFiles(home.experiments / "x" / f"x_{number}")
    files.directory.mkdir(parents=True)
    files.resolved.write_text("{}")
    return files


def test_key_is_private_and_made_once(home: Home) -> None:
    """Experiments that are created at once use one key, which only its owner can read."""
    made = [make(home, number) for number in range(8)]
    threads = [threading.Thread(target=creation_mark.write, args=(home, files, SPEC)) for files in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(creation_mark.is_own(home, files, SPEC, None) for files in made)
    assert stat.S_IMODE(home.key.stat().st_mode) == 0o600
    assert sorted(path.name for path in home.directory.iterdir()) == ["experiments", "key"]


def test_key_that_was_opened_to_others_is_made_private(home: Home) -> None:
    """As after `chmod -R g+rX`; the experiments stay this home's."""
    files = make(home)
    creation_mark.write(home, files, SPEC)
    home.key.chmod(0o644)
    assert creation_mark.is_own(home, files, SPEC, None)
    assert stat.S_IMODE(home.key.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TRIED: giving a file to another user needs root")
def test_key_of_another_user_is_not_used(home: Home) -> None:
    """In a home that several share, each has a key: what another made is no secret from them."""
    files = make(home)
    creation_mark.write(home, files, SPEC)
    os.chown(home.key, 61001, -1)
    assert not creation_mark.is_own(home, files, SPEC, None)
    creation_mark.write(home, files, SPEC)
    assert creation_mark.is_own(home, files, SPEC, None)
    assert home.user_key(os.geteuid()).exists()


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, executors={"cluster": {"type": "slurm", "partition": "q"}}),
        replace(SPEC, tasks=(replace(TASK, executor="docker"),)),
        replace(SPEC, secrets={"T": {"file": "/etc/shadow"}}),
        replace(SPEC, folder="/etc"),
    ],
)
def test_mark_is_of_what_may_be_asked_and_read(home: Home, other: Spec) -> None:
    """Other executors, options or sources of secrets have no valid mark; later revisions add theirs."""
    files = make(home)
    creation_mark.write(home, files, SPEC)
    assert not creation_mark.is_own(home, files, other, HERE)
    creation_mark.write(home, files, other)
    assert creation_mark.is_own(home, files, other, None)
    assert creation_mark.is_own(home, files, replace(SPEC, description="changed"), None)


def test_older_experiment_belongs_to_its_owner_and_host(home: Home) -> None:
    """Without a mark, the host counts, and that the experiment is older than the key of the home."""
    older = make(home)
    assert creation_mark.is_own(home, older, SPEC, HERE)
    assert not creation_mark.is_own(home, older, SPEC, replace(HERE, host="elsewhere"))
    assert not creation_mark.is_own(home, older, SPEC, None)
    assert home.key.exists()
    unpacked = make(home, 2)
    os.utime(unpacked.resolved, (1, 1))
    assert not creation_mark.is_own(home, unpacked, SPEC, HERE)
    assert creation_mark.is_own(home, older, SPEC, HERE)


def test_key_that_a_crash_cut_short_is_not_used(home: Home) -> None:
    """An empty key would be no secret; another one is made."""
    home.key.touch()
    files = make(home)
    creation_mark.write(home, files, SPEC)
    assert creation_mark.is_own(home, files, SPEC, None)
    assert (home.key.stat().st_size, home.user_key(os.geteuid()).stat().st_size) == (0, 32)


def test_home_without_a_key_is_no_error(home: Home) -> None:
    """As on a read-only disk: nothing is marked, and nothing is believed."""
    files = make(home)
    home.key.mkdir()
    creation_mark.write(home, files, SPEC)
    assert not files.mark.exists()
    files.mark.write_text("0" * 64)
    assert not creation_mark.is_own(home, files, SPEC, HERE)
