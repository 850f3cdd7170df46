"""The peak GPU memory of attempts, as a program named nvidia-smi on PATH reports it."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.extent import IS_LONG
from support.patience import eventually
from support.workspace import events, kill_supervisor, until

from nemorun_cli.executors import Job
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.model.usage import Usage
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.supervisor import client, gpu_peaks
from nemorun_cli.supervisor.gpu_peaks import GpuPeaks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from support.workspace import ExpWorkspace

MEGA = 1 << 20
PROGRAM = """#!/bin/sh
case "$*" in
    "--query-gpu=index,uuid --format=csv,noheader") printf '0, GPU-00aa\\n1, GPU-00bb\\n' ;;
    "--query-gpu=index,uuid,memory.used,name --format=csv,noheader,nounits")
        echo >>"$0.queries"
        exec cat "$0.answer"
        ;;
    *) exit 9 ;;
esac
"""
SUPERVISOR = """
import sys
from nemorun_cli.supervisor import gpu_peaks, process
from nemorun_cli.system import gpu_query
gpu_peaks.FIRST = gpu_peaks.LONGEST = 0.02
gpu_peaks.REST, gpu_query.FIRST_LOOK = 1.0, 0.01
sys.exit(process.main())
"""


class Gpus:
    """Two GPUs, whose memory in use a test sets."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "nvidia-smi"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)
        self._queries = folder / "nvidia-smi.queries"
        self._queries.touch()
        self.use(0, 0)

    def use(self, *megabytes: int, models: Sequence[str] = ("some GPU", "some GPU")) -> None:
        """From now on so much is in use on the GPUs of these models."""
        pairs = enumerate(zip(megabytes, models, strict=True))
        rows = [f"{number}, GPU-{number}{number}, {used}, {model}\n" for number, (used, model) in pairs]
        answer = self.program.with_name("new")
        answer.write_text("".join(rows))
        answer.replace(f"{self.program}.answer")

    @property
    def queries(self) -> int:
        """How many queries there were."""
        return len(self._queries.read_bytes())

    def wait_for_sample(self) -> None:
        """Wait until a query that begins from now on was evaluated: the one after it has begun."""
        before = self.queries
        eventually(lambda: self.queries >= before + 2)


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpus:
    """A machine with two GPUs, as far as nvidia-smi reports."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return Gpus(folder)


@pytest.fixture
def frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Supervisors that take their first sample soon."""

    def spawn(environ: Mapping[str, str], order: int, answer: int) -> int:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-c", SUPERVISOR],
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, order, 0), (os.POSIX_SPAWN_DUP2, answer, 1)],
            setsid=True,
        )

    monkeypatch.setattr(client, "spawn", spawn)


def jobs_in(folder: Path, *names: str) -> list[Job]:
    """Running attempts, whose folders exist."""
    files = ExperimentFiles(folder / "experiment")
    jobs = [Job(experiment="e_1", task=name, attempt=1, files=files.attempt(name, 1)) for name in names]
    for job in jobs:
        job.files.directory.mkdir(parents=True)
    return jobs


def peaks_of(*jobs: Job) -> GpuPeaks:
    """Peaks of these running attempts, each with the GPU of its place."""
    peaks = GpuPeaks()
    for number, job in enumerate(jobs):
        peaks.begin(job, [str(number)], is_container=False, variables=())
    return peaks


def sample(peaks: GpuPeaks) -> None:
    """Make turns, each when it is due, until a query is started and evaluated."""
    states = []
    while states[-2:] != [True, False]:
        assert peaks.due is not None
        time.sleep(max(0.0, peaks.due - time.monotonic()))
        peaks.look()
        states.append(peaks._query is not None)


def test_each_attempt_has_the_peak_of_its_own_gpu(
    workspace: ExpWorkspace, gpus: Gpus, frequent: None
) -> None:
    """Attempts are sampled until they end; a supervisor that adopts them does not know earlier samples."""
    del frequent
    gpus.use(9000, 12000)
    one = {"gpus": 1, "cpus": 0.1}
    tasks = {
        "a": {"inline": until("a"), "resources": one},
        "b": {"inline": until("b"), "resources": one},
        "c": {"inline": until("b")},
    }
    run = workspace.start(tasks, run={"max_parallel": 3})
    gpus.wait_for_sample()
    gpus.use(50, 700)
    gpus.wait_for_sample()
    workspace.touch("b")
    eventually(lambda: len([event for event in events(run) if event["event"] == "ended"]) == 2)
    kill_supervisor(run)
    gpus.use(500, 700)
    assert run.resume()
    gpus.wait_for_sample()
    workspace.touch("a")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    ends = [event for event in events(run) if event["event"] == "ended"]
    found = {event["task"]: event["usage"].get("gpu_memory") for event in ends}
    assert found == {"a": 500 * MEGA, "b": 12000 * MEGA, "c": None}
    shown = {task["id"]: task["usage"].get("gpu_memory") for task in workspace.exp.status(run.id)["tasks"]}
    assert shown == found
    for command in (("why", run.id, "b"), ("show", run.id), ("status", run.id, "b")):
        assert "requested 0.1 CPUs and 1 GPU, peak 11.7G of GPU memory; " in workspace.exp(*command).stdout


def test_no_query_without_a_running_attempt(
    gpus: Gpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only while an attempt runs that has a GPU there are queries; of its samples the largest counts."""
    monkeypatch.setattr(gpu_peaks, "FIRST", 0.01)
    monkeypatch.setattr(gpu_peaks, "REST", 0.0)
    assert GpuPeaks().due is None
    first, second = jobs_in(tmp_path, "first", "second")
    peaks = peaks_of(first, second)
    for used in ((10, 200), (30, 100)):
        gpus.use(*used)
        sample(peaks)
    assert peaks.end(first.key) == Usage(gpu_memory=30 * MEGA)
    assert peaks.end(second.key) == Usage(gpu_memory=200 * MEGA)
    assert peaks.due is None
    peaks.look()
    assert (peaks.due, peaks.end(first.key), gpus.queries) == (None, None, 2)


def test_only_what_was_in_use_during_the_attempt_counts(
    gpus: Gpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before an attempt the one before had the GPU; after its exit record another experiment may have it."""
    monkeypatch.setattr(gpu_peaks, "FIRST", 0.0)
    gpus.use(10, 200)
    before, over, after = jobs_in(tmp_path, "before", "over", "after")
    peaks = peaks_of(before, over)
    peaks.look()
    peaks.end(before.key)
    over.files.exit.touch()
    peaks.begin(after, ["0"], is_container=False, variables=())
    while peaks._query is not None:
        peaks.look()
    assert [peaks.end(job.key) for job in (before, over, after)] == [None] * 3


@pytest.mark.parametrize(
    "place", ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "the spec", "adopted", "container"]
)
def test_numbers_of_different_models(
    gpus: Gpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """They count where they are certainly those of nvidia-smi; a GPU with an id is certain anyway."""
    monkeypatch.setattr(gpu_peaks, "FIRST", 0.0)
    gpus.use(10, 200, models=("large", "small"))
    numbered, named, known = jobs_in(tmp_path, "numbered", "named", "known")
    peaks = peaks_of()
    if place.startswith("CUDA"):
        monkeypatch.setenv(place, "0,1")
    variables = {"the spec": ["CUDA_DEVICE_ORDER"], "adopted": None, "container": None}.get(place, [])
    peaks.begin(numbered, ["1"], is_container=place == "container", variables=variables)
    peaks.begin(named, ["GPU-11"], is_container=False, variables=variables)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    peaks.begin(known, ["1"], is_container=False, variables=())
    sample(peaks)
    used = Usage(gpu_memory=200 * MEGA)
    assert peaks.end(numbered.key) == (used if place == "container" else None)
    assert (peaks.end(named.key), peaks.end(known.key)) == (used, used)


def test_hanging_query_holds_nothing_up(gpus: Gpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nvidia-smi hangs, a turn takes no time, no second query starts, and no peak is reported."""
    monkeypatch.setattr(gpu_peaks, "FIRST", 0.0)
    gpus.program.write_text("#!/bin/sh\nsleep 60\n")
    (first,) = jobs_in(tmp_path, "first")
    peaks = peaks_of(first)
    start = time.monotonic()
    for _ in range(100):
        peaks.look()
        assert peaks.due is not None
        assert peaks.due > time.monotonic()
    query = peaks._query
    assert query is not None
    assert time.monotonic() - start < 10  # a query that hangs takes 20
    assert peaks.end(first.key) is None
    peaks.close()
    assert query._process.returncode == -signal.SIGKILL


if IS_LONG:  # it waits for samples at their usual times

    def test_samples_at_their_usual_times(workspace: ExpWorkspace, gpus: Gpus) -> None:
        """An attempt of three seconds has a sample, whose supervisor is an ordinary one."""
        gpus.use(10, 200)
        run = workspace.start({"a": {"inline": "sleep 3", "resources": {"gpus": 2}}})
        assert run.wait(timeout=60).history.tasks["a"].usage["gpu_memory"] == 210 * MEGA  # type: ignore[index]
