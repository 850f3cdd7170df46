"""The files of submissions are checked before what they hold becomes an argument of a command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import EngineError
from nemorun_cli.executors import Job
from nemorun_cli.executors.remote_hosts.remote_paths import RemotePaths
from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel
from nemorun_cli.executors.slurm.attempt_jobs import AttemptJobs
from nemorun_cli.executors.slurm.commands import Commands
from nemorun_cli.executors.slurm.het_job import STEP
from nemorun_cli.executors.slurm.job_states import JobStates
from nemorun_cli.executors.slurm.remote.cluster import NOTE, note_of
from nemorun_cli.executors.slurm.sbatch_answer import is_job_id
from nemorun_cli.executors.slurm.submissions import FOLDER, MEMBERS, Submissions
from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from pathlib import Path

RECORD: dict[str, Any] = {"name": "x", "made": 1.0, "members": [["a", 1]], "by_steps": False, "place": "/x"}
NO_IDS = ("--user=me", "-u", "1 2", "1;touch x", "4711 --me", "", "x", "1.", "1_2_3", "\uff11")


@pytest.fixture
def files(tmp_path: Path) -> ExperimentFiles:
    """An experiment with the folder of a submission and that of an attempt."""
    files = ExperimentFiles(tmp_path / "experiments" / "x" / "x_1")
    (files.directory / FOLDER / "1").mkdir(parents=True)
    files.attempt("a", 1).directory.mkdir(parents=True)
    return files


def job(files: ExperimentFiles, job_id: str | None = None) -> Job:
    """The first attempt at its only task."""
    return Job(experiment=files.id, task="a", attempt=1, files=files.attempt("a", 1), job_id=job_id)


def jobs() -> AttemptJobs:
    """What answers questions about jobs; it starts no command by itself."""
    return AttemptJobs(JobStates(Commands()))


@pytest.mark.parametrize("job_id", ["4711", "4711_3", "4711+1", "4711.0", "4711_3.2"])
def test_ids_of_jobs_members_and_steps(job_id: str) -> None:
    """All ids that Slurm gives are ids."""
    assert is_job_id(job_id)


@pytest.mark.parametrize("text", NO_IDS)
def test_what_is_no_job_id_is_never_passed_on(files: ExperimentFiles, text: str) -> None:
    """Neither from the ledger, nor the submission, nor what a task noted as its step: scancel has options."""
    submission = files.directory / FOLDER / "1"
    assert jobs().id_of(job(files, text)) is None
    (submission / MEMBERS).write_text(json.dumps(RECORD))
    (submission / "job").write_text(text)
    assert jobs().id_of(job(files)) is None
    (files.attempt("a", 1).directory / STEP).write_text(f"{text}\n")
    assert jobs().step_id(job(files)) is None


def test_ids_that_were_stored_are_used(files: ExperimentFiles) -> None:
    """The id of the submission counts before that of the ledger."""
    submission = files.directory / FOLDER / "1"
    assert jobs().id_of(job(files, "12")) == "12"
    (submission / MEMBERS).write_text(json.dumps(RECORD))
    (submission / "job").write_text("4711;other\n")
    (files.attempt("a", 1).directory / STEP).write_text("4711.0\n")
    assert (jobs().id_of(job(files, "12")), jobs().step_id(job(files))) == ("4711", "4711.0")
    assert jobs().cluster_flags(job(files)) == ["--clusters=other"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("members", [["a", "1"]]),
        ("members", {}),
        ("made", "now"),
        ("name", None),
        ("indices", ["0"]),
        ("components", -1),
    ],
)
def test_record_of_a_submission_names_its_fault(files: ExperimentFiles, field: str, value: Any) -> None:
    """A record that no version wrote is an error that names the file and the field."""
    path = files.directory / FOLDER / "1" / MEMBERS
    path.write_text(json.dumps({**RECORD, field: value}))
    with pytest.raises(EngineError, match=rf"1/{MEMBERS} cannot be read: {field}"):
        Submissions(files.directory / FOLDER)
    path.write_text("[" * 100_000)
    with pytest.raises(EngineError, match=MEMBERS):
        Submissions(files.directory / FOLDER)


@pytest.mark.parametrize(
    "folder", ["/a b/c/d", "/a;touch x/c/d", "/a/../../d", "relative/a/b/c", "/a", 1, None, "/a/b/$(x)"]
)
def test_remote_folder_is_a_plain_path(files: ExperimentFiles, folder: Any) -> None:
    """It becomes part of commands on the host, where it would need quotes."""
    tunnel = Tunnel(host="far", job_dir="/jobs")
    (files.directory / FOLDER / NOTE).write_text(json.dumps({"folder": folder}))
    with pytest.raises(EngineError, match=NOTE):
        RemotePaths(tunnel, files, note=note_of(files))
    (files.directory / FOLDER / NOTE).write_text(json.dumps({"folder": "/jobs/exp-1/x/x_1"}))
    assert str(RemotePaths(tunnel, files, note=note_of(files)).folder) == "/jobs/exp-1/x/x_1"
