"""The files of an attempt as evidence: a whole record is believed, half a one is none, rubbish is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.model import attempt_end
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.usage import Usage
from nemorun_cli.storage import attempts
from nemorun_cli.storage.attempts import claimed_pid, make_folders, read_ending
from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles
from nemorun_cli.system import locks
from nemorun_cli.system.files import RefusedFileError, descriptor_of_new, descriptor_to_append, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> AttemptFiles:
    made = AttemptFiles(tmp_path / "tasks" / "g" / "a" / "attempt-1")
    attempts.make_folders(made)
    return made


@pytest.mark.parametrize(
    ("record", "status", "code", "reason"),
    [
        ('{"exit_code":0}\n', TaskStatus.SUCCEEDED, 0, None),
        ('{"exit_code":3}\n', TaskStatus.FAILED, 3, Reason.EXIT),
        ('{"exit_code":137}\n', TaskStatus.FAILED, 137, Reason.SIGNAL),
        ('{"exit_code":255}\n', TaskStatus.FAILED, 255, Reason.EXIT),
        ('{"exit_code":143,"timeout":true}\n', TaskStatus.FAILED, 143, Reason.TIMEOUT),
        ('{"exit_code":0,"timeout":true}\n', TaskStatus.FAILED, 0, Reason.TIMEOUT),
        ('{"exit_code":null,"signal":"KILL","timeout":true}\n', TaskStatus.FAILED, None, Reason.TIMEOUT),
        ('{"exit_code":null,"launch":"workdir"}\n', TaskStatus.FAILED, None, Reason.LAUNCH),
    ],
)
def test_record_is_read(
    files: AttemptFiles, record: str, status: TaskStatus, code: int | None, reason: Reason | None
) -> None:
    """What the shim wrote is told in the words of the states."""
    files.exit.write_text(record)
    ending = attempts.read_ending(files)
    assert ending is not None
    assert (ending.status, ending.exit_code, ending.reason) == (status, code, reason)
    assert ending.ended is not None


@pytest.mark.parametrize("cut", range(len('{"exit_code":3}\n')))
def test_record_that_is_being_written_is_none(files: AttemptFiles, cut: int) -> None:
    """As long as its last byte is missing there is no record, and no end."""
    files.exit.write_text('{"exit_code":3}\n'[:cut])
    assert attempts.read_ending(files) is None


@pytest.mark.parametrize(
    "rubbish",
    ["{}", "[]", "5", "null", '"x"', "no json", '{"exit_code":"0"}', '{"exit_code":null}', "\udcff"],
)
def test_record_that_cannot_be_understood_is_no_success(files: AttemptFiles, rubbish: str) -> None:
    """An end that cannot be known is FAILED with reason `lost`, and never a guess."""
    files.exit.write_bytes(rubbish.encode(errors="surrogateescape") + b"\n")
    ending = attempts.read_ending(files)
    assert ending is not None
    assert (ending.status, ending.exit_code, ending.reason) == (TaskStatus.FAILED, None, Reason.LOST)
    assert str(files.exit) in (ending.message or "")


def test_claim_names_its_shim(files: AttemptFiles) -> None:
    """No claim is None, a claim that could not say more is 0, rubbish is 0 too."""
    assert attempts.claimed_pid(files) is None
    for content, pid in ((b"", 0), (b"12", 12), (b"12\n", 12), (b"-1\n", 0), (b"\xff\xfe", 0), (b"1 2\n", 0)):
        files.claim.write_bytes(content)
        assert attempts.claimed_pid(files) == pid


@pytest.mark.parametrize(
    ("name", "number"), [("TERM", 15), ("SIGTERM", 15), ("term", 15), ("15", 15), ("KILL", 9), ("USR1", 10)]
)
def test_signal_by_any_of_its_names(name: str, number: int) -> None:
    """A signal may be given by its name, with or without SIG, or its number."""
    assert attempt_end.signal_number(name) == number
    assert attempt_end.signal_number(attempt_end.short_signal(name)) == number


@pytest.mark.parametrize("name", ["", "NOPE", "SIG", "0", "999", "-9", "TERM; rm"])
def test_what_is_no_signal_is_refused(name: str) -> None:
    """Nothing but a signal's name gets near a `kill`."""
    with pytest.raises(ValueError, match=r"signal|valid"):
        attempt_end.signal_number(name)


def test_folders_are_private_and_may_be_there(files: AttemptFiles) -> None:
    """Making them again does no harm, and nobody else looks in."""
    attempts.make_folders(files)
    for folder in (files.directory, files.directory.parent, files.directory.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_descriptor_of_a_new_folder_is_for_its_files(tmp_path: Path) -> None:
    """Only who makes the folder of an attempt gets a descriptor of it; an error names the whole path."""
    new = ExperimentFiles(tmp_path / "x_1").attempt("g/a", 1)
    folder = attempts.make_new_folder(new)
    assert folder is not None
    assert attempts.make_new_folder(new) is None
    log = descriptor_of_new(attempts.LOG, os.O_WRONLY, folder=folder, path=new.directory)
    assert os.path.samestat(os.fstat(log), new.log.stat())
    with pytest.raises(FileExistsError, match=str(new.log)):
        descriptor_of_new(attempts.LOG, os.O_WRONLY, folder=folder, path=new.directory)
    os.close(log)
    os.close(folder)


def test_examined_attempt_is_held_or_has_an_end_whatever_leads_to_it(tmp_path: Path) -> None:
    """The lock and the exit record are examined together; no record is read behind a link."""
    found = ExperimentFiles(tmp_path / "x_1").attempt("a", 1)
    assert attempts.examine(found) == (False, None)
    make_folders(found)
    lock = locks.take(found.lock)
    assert lock is not None
    assert attempts.examine(found) == (True, None)
    found.claim.write_text("1\n")
    found.exit.write_text('{"exit_code": 3}\n')
    found.usage.write_text("memory 4096\n")
    assert attempts.examine(found) == (True, read_ending(found))
    os.close(lock)
    is_held, ending = attempts.examine(found)
    assert (is_held, ending) == (False, read_ending(found))
    assert ending is not None
    assert (ending.exit_code, ending.usage) == (3, Usage(memory=4096))
    found.directory.rename(tmp_path / "elsewhere")
    found.directory.symlink_to(tmp_path / "elsewhere")
    assert attempts.examine(found) == (False, None)


def test_files_are_written_whole_and_private(files: AttemptFiles) -> None:
    """A shorter text leaves nothing of a longer one."""
    for text in ("a long text" * 100_000, "ünï\n"):
        write(files.script, text)
        assert files.script.read_text(encoding="utf-8") == text
    assert files.script.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_a_task_prepared_leads_nowhere(files: AttemptFiles, tmp_path: Path) -> None:
    """Links and FIFOs in it are removed before anything is written; a link in its place is refused."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for path in (files.plan, files.script, files.lock, files.log, files.exit, files.directory / "secrets"):
        path.symlink_to(precious)
    os.mkfifo(files.outputs)
    files.usage.write_text("kept")
    assert not attempts.make_folders(files)
    assert [path.name for path in files.directory.iterdir()] == ["usage"]
    planned = AttemptFiles(files.directory.with_name("attempt-2"))
    planned.directory.symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(RefusedFileError, match="an earlier attempt of the task put something else"):
        attempts.make_folders(planned)
    assert precious.read_text() == "mine"


def test_links_of_an_attempt_that_has_begun_are_its_own(files: AttemptFiles, tmp_path: Path) -> None:
    """Only the lock is not followed then, by the process that would take it."""
    files.claim.write_text("1\n")
    for path in (files.lock, files.directory / "latest"):
        path.symlink_to(tmp_path)
    attempts.make_folders(files)
    assert {path.name for path in files.directory.iterdir()} == {"claim", "latest"}


def test_what_is_written_for_an_attempt_follows_no_link(files: AttemptFiles, tmp_path: Path) -> None:
    """A file of an attempt is a new one, a marker is created nowhere else, and a log elsewhere is refused."""
    precious, missing = tmp_path / "precious", tmp_path / "missing"
    precious.write_text("mine")
    files.plan.symlink_to(precious)
    attempts.put(files.plan, "plan")
    attempts.put(files.plan, "replaced")
    assert (files.plan.read_text(), files.plan.is_symlink()) == ("replaced", False)
    files.timed_out.symlink_to(missing)
    attempts.touch(files.timed_out)
    attempts.touch(files.usage)
    for path in (precious, missing):
        files.log.unlink(missing_ok=True)
        files.log.symlink_to(path)
        with pytest.raises(RefusedFileError):
            descriptor_to_append(files.log)
    assert (precious.read_text(), missing.exists(), files.usage.exists()) == ("mine", False, True)


@pytest.mark.parametrize("part", ["tasks", "g", "a", "attempt-1"])
def test_no_attempt_is_made_or_read_behind_a_link(tmp_path: Path, part: str) -> None:
    """An earlier attempt, which can write in its task's folder, leads no later one to another place."""
    found = ExperimentFiles(tmp_path / "x_1").attempt("g/a", 1)
    make_folders(found)
    found.exit.write_text('{"exit_code": 0}\n')
    assert read_ending(found) is not None
    linked = next(path for path in (found.directory, *found.directory.parents) if path.name == part)
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    assert read_ending(found) is None
    assert claimed_pid(found) is None
    with pytest.raises(RefusedFileError):
        make_folders(found)
    if part != "attempt-1":
        with pytest.raises(RefusedFileError):
            make_folders(ExperimentFiles(tmp_path / "x_1").attempt("g/a" if part == "a" else "g/new", 2))
    assert (
        sorted(path.name for path in (tmp_path / "elsewhere").rglob("*") if path.name in {"new", "attempt-2"})
        == []
    )
    with pytest.raises(RefusedFileError):
        found.read(found.exit)
