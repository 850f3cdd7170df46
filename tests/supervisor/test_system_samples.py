"""What tasks use, recorded by real supervisors at the shortest interval."""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import kill_supervisor, until

from nemorun_cli.executors import Job
from nemorun_cli.model.usage_sample import UsageSample
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.supervisor import gpu_peaks, system_samples
from nemorun_cli.supervisor.gpu_peaks import GpuPeaks
from nemorun_cli.supervisor.system_samples import SystemSamples
from nemorun_cli.tracking import record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from support.workspace import ExpWorkspace

    from nemorun_cli.executors import Key

PREFIX = "alice/vision/sampled"
EACH_SECOND: dict[str, Any] = {"prefix": PREFIX, "tracking": {"system": "1s"}}
NVIDIA_SMI = """#!/bin/sh
case "$*" in
    "--query-gpu=index,uuid --format=csv,noheader") printf '0, GPU-00aa\\n1, GPU-00bb\\n' ;;
    "--query-gpu=index,uuid,memory.used,utilization.gpu,name --format=csv,noheader,nounits")
        printf '0, GPU-00aa, 300, 87, A100, 80GB\\n1, GPU-00bb, 200, [N/A], A100, 80GB\\n'
        ;;
    *) exit 9 ;;
esac
"""
MEGA = 1 << 20


def samples(workspace: ExpWorkspace, task: str, attempt: int = 1) -> list[dict[str, Any]]:
    """The samples of one attempt at a task."""
    found = record(workspace.home.dash, f"{PREFIX}/{task}")
    if found is None:
        return []
    openings = [opening.id for opening in found.openings if opening.facts["attempt"] == attempt]
    return list(found.data().metrics("system").read(openings=openings))


def test_samples_of_each_attempt_go_on_after_a_kill(workspace: ExpWorkspace) -> None:
    """Rows are of their attempt, none is lost or written twice by a kill, and the next supervisor goes on."""
    text = f'test "$EXP_ATTEMPT" = 2 || {{ {until("first")}; exit 1; }}; {until("second")}'
    run = workspace.start({"a": {"inline": text, "retry": {"limit": 1}}, "short": "true"}, **EACH_SECOND)
    eventually(lambda: samples(workspace, "a"))
    workspace.touch("first")
    eventually(lambda: samples(workspace, "a", 2))
    kill_supervisor(run)
    before = samples(workspace, "a", 2)
    assert run.resume()
    eventually(lambda: len(samples(workspace, "a", 2)) >= len(before) + 2)
    workspace.touch("second")
    assert run.wait(timeout=60).history.tasks["a"].attempt == 2
    rows = samples(workspace, "a", 2)
    assert rows[: len(before)] == before
    times = [row["_ts"] for row in rows]
    assert all(later - earlier > 0.3 for earlier, later in pairwise(times))
    assert all(row.keys() == {"_ts", "cpu", "memory"} and row["memory"] > MEGA for row in rows)
    assert max(row["_ts"] for row in samples(workspace, "a", 1)) < times[0]
    assert record(workspace.home.dash, f"{PREFIX}/short") is None
    assert "tracking" not in run.files.supervisor_log.read_text()


def test_samples_are_shown_only_when_asked_for(workspace: ExpWorkspace) -> None:
    """What a supervisor records in the series `system` is shown by keys that begin with this name alone."""
    log = "from nemorun_cli import Experiment\nprint('cpu=7654')\nwith Experiment().run as e:\n"
    log += " e.metrics('train').log(loss=1.0, cpu=2)"
    own = f"{log}\n e.metrics('system').log(cpu=0.25)"
    measured = {"metrics": {"system": r"^cpu=(?P<cpu>\S+)"}}  # a supervisor writes it as it does samples
    tasks = {
        "a": {"command": [sys.executable, "-c", log], **measured},
        "b": {"inline": "echo cpu=1", **measured},
        "own": {"command": [sys.executable, "-c", own], **measured},
    }
    run = workspace.start(tasks, prefix=PREFIX)
    run.wait(timeout=60)

    def seen(*args: str) -> str:
        return workspace.exp(*args).stdout

    forms = (
        [],
        ["--format", "csv"],
        ["-n", "5"],
        ["--plot"],
        ["-f"],
        ["--json", "-k", "*"],
        ["--json", "-k", "cpu"],
    )
    for form in forms:
        shown = seen("metrics", run.id, "a", *form)
        assert "cpu" in shown
        assert "system" not in shown
        shown = seen("metrics", run.id, "own", *form)
        assert "system" in shown
        assert "7654" not in shown
    assert "loss" not in seen("metrics", run.id, "a", "-f", "-k", "system*")
    hint = workspace.exp("metrics", run.id, "b").stderr
    assert "which -k 'system*' shows" in hint
    asked = json.loads(seen("metrics", run.id, "a", "--json", "-k", "system/cpu", "-k", "train"))["series"]
    assert [series["name"] for series in asked] == ["system", "train"]
    rows = {row["task"]: row["metrics"] for row in json.loads(seen("compare", run.id, "--json"))["rows"]}
    assert rows["a"].keys() == {"train/loss", "train/cpu"}
    assert rows["own"]["system/cpu"]["max"] == 0.25
    for asking in (["-k", "system/cpu:max"], ["--sort", "system/cpu"], ["--where", "system/cpu:max>=7000"]):
        rows = json.loads(seen("compare", run.id, "--task", "a", "--json", *asking))["rows"]
        assert [row["metrics"]["system/cpu"]["last"] for row in rows] == [7654]


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two GPUs, as far as this program reports."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "nvidia-smi").write_text(NVIDIA_SMI)
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    return folder / "nvidia-smi"


def test_gpus_of_a_task_are_in_its_samples(workspace: ExpWorkspace, nvidia_smi: Path) -> None:
    """A task has those GPUs that it reserved, counted from 0, and what is not known of one is left out."""
    del nvidia_smi
    gpus = {"gpus": 2, "cpus": 0.1}
    run = workspace.start({"a": {"inline": until("go"), "resources": gpus}}, **EACH_SECOND)
    row = eventually(lambda: samples(workspace, "a"))[0]
    workspace.touch("go")
    ended = run.wait(timeout=60)
    of_gpus = {name: value for name, value in row.items() if name.startswith("gpu")}
    assert of_gpus == {"gpu0.memory": 300 * MEGA, "gpu0.utilization": 87, "gpu1.memory": 200 * MEGA}
    assert ended.history.tasks["a"].usage is not None


class OneExecutor:
    """What a dispatcher does of an executor that measures at once."""

    def __init__(self) -> None:
        self.asked: list[Key] = []

    def can_measure(self, job: Job) -> bool:
        """Whether it measures an attempt."""
        return bool(job)

    def sample(self, jobs: Iterable[Job]) -> None:
        """Measure attempts."""
        self.asked += [job.key for job in jobs]

    def samples(self) -> list[tuple[Key, UsageSample]]:
        """What was measured."""
        keys, self.asked = self.asked, []
        return [(key, UsageSample(time=1.0, cpu=0.5, memory=7)) for key in keys]


@pytest.mark.parametrize("program", ["#!/bin/sh\nsleep 60\n", "#!/bin/sh\nexit 1\n", "nothing", None])
def test_without_an_answer_of_nvidia_smi_rows_have_no_gpus(
    nvidia_smi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    """Whether it hangs, fails or is not there, no look waits for it, and the rest is written."""
    monkeypatch.setattr(system_samples, "GPU_PATIENCE", 0.2)
    monkeypatch.setattr(gpu_peaks, "FIRST", 0.0)
    if program is None:
        nvidia_smi.unlink()
        monkeypatch.setenv("PATH", str(nvidia_smi.parent))
    else:
        nvidia_smi.write_text(program)
    files = ExperimentFiles(tmp_path / "e_1")
    job = Job(experiment="e_1", task="a", attempt=1, files=files.attempt("a", 1))
    job.files.directory.mkdir(parents=True)
    rows: list[tuple[Any, ...]] = []
    peaks = GpuPeaks(is_use_wanted=True)
    sampled = SystemSamples(
        3600.0,
        dispatcher=OneExecutor(),  # type: ignore[arg-type]
        gpus=peaks,
        write=lambda *row: rows.append(row),
    )
    peaks.begin(job, ["0"], is_container=False, variables=())
    sampled.begin(job, since=time.time() - 3600.0, is_adopted=False)
    while not rows:
        assert sampled.due is not None
        begun = time.monotonic()
        peaks.look()
        sampled.look()
        assert time.monotonic() - begun < 1.0
    peaks.close()
    assert rows == [("a", 1, 1.0, {"cpu": 0.5, "memory": 7})]
    sampled.end(job.key)
    assert sampled.due == pytest.approx(time.monotonic(), abs=3600 * 2)
