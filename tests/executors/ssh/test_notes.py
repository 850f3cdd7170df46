"""What is noted about the host of an attempt, and what it means if the note is missing or damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.executors import Job
from nemorun_cli.executors.ssh.executor import SshExecutor
from nemorun_cli.executors.ssh.ssh_host import PLACE, note_boot, read_place, write_place
from nemorun_cli.executors.ssh.ssh_options import hosts_of
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system.files import RefusedFileError

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS: dict[str, Any] = {"hosts": [{"host": "gpu1", "port": 23}], "job_dir": "/x"}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """An attempt with a folder."""
    files = ExperimentFiles(tmp_path / "experiments" / "x" / "x_1")
    files.attempt("a", 1).directory.mkdir(parents=True)
    return Job(experiment=files.id, task="a", attempt=1, files=files.attempt("a", 1))


def test_a_note_is_kept_whole(job: Job) -> None:
    """It has what is needed to reach the host again, also after its boot id was added."""
    (host,) = hosts_of(OPTIONS)
    assert read_place(job.files) == {}
    write_place(job, host, "ticket-1")
    note_boot(job, "b")
    noted = read_place(job.files)
    assert (noted["host"], noted["port"], noted["job_dir"], noted["boot"]) == ("gpu1", 23, "/x", "b")


@pytest.mark.parametrize("text", ["", "[]", '{"host": "gpu1"}', "[" * 100_000])
def test_a_damaged_note_never_means_that_nothing_was_started(job: Job, text: str) -> None:
    """Its attempt is not known, and is not started again."""
    (job.files.directory / PLACE).write_text(text)
    with pytest.raises(RefusedFileError, match="cannot be read"):
        read_place(job.files)
    executor = SshExecutor("boxes", OPTIONS, {})
    (answer,) = executor.poll({job.key: job})
    assert getattr(answer, "message", "").startswith("the note about the attempt's host cannot be read")
    executor.close()


@pytest.mark.parametrize("host", ["-oProxyCommand=id", "a b", "$(id)", 1])
def test_a_note_cannot_become_an_option_of_ssh(job: Job, host: Any) -> None:
    """Its host is checked like that of a spec."""
    (good,) = hosts_of(OPTIONS)
    write_place(job, good, "ticket-1")
    path = job.files.directory / PLACE
    path.write_text(path.read_text().replace('"gpu1"', f'"{host}"' if isinstance(host, str) else str(host)))
    executor = SshExecutor("boxes", OPTIONS, {})
    (answer,) = executor.poll({job.key: job})
    assert getattr(answer, "state", "") == "unknown"
    executor.close()
