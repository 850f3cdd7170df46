"""What jobs measure of themselves: the text that runs in them, without a cluster and on one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.extent import IS_LONG
from support.patience import eventually
from support.workspace import kill_supervisor, log, until

from nemorun_cli.executors.shim_call import SHIM, shim_line
from nemorun_cli.executors.slurm import job_sampler
from nemorun_cli.executors.slurm.job_script import job_script, member_text
from nemorun_cli.executors.slurm.sbatch_options import request
from nemorun_cli.model.plan import Plan
from nemorun_cli.supervisor.job_samples import parse
from nemorun_cli.tracking import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.far import Far
    from support.workspace import ExpWorkspace

PREFIX = "alice/vision/queued"
NVIDIA_SMI = """#!/bin/sh
[ "$*" = "--query-gpu=index,uuid,memory.used,utilization.gpu --format=csv,noheader,nounits" ] || exit 9
printf '0, GPU-00aa, 100, 11\\n1, GPU-00bb, 200, [N/A]\\n2, GPU-00cc, 300, 33\\n'
"""
MEGA = 1 << 20


class JobInBash:
    """A job script that samples each second, run by bash alone."""

    def __init__(self, folder: Path) -> None:
        self.attempt, self._folder = folder / "attempt", folder / "slurm"
        self.attempt.mkdir()
        self._folder.mkdir()
        self.samples = self.attempt / "samples"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, text: str, *, sampling: float | None = 1.0, **env: str) -> subprocess.Popen[bytes]:
        """Start the script for a task with this text of a shell."""
        names = ("EXP_DIR", "EXP_TASK_DIR", "EXP_SHARED", "EXP_DASH_ROOT", "NEMORUN_HOME")
        made = Plan(
            experiment="e_1",
            task="a",
            attempt=1,
            executor="cluster",
            kind="command",
            argv=("/bin/sh", "-c", text),
            workdir=str(self.attempt),
            folder=str(self.attempt),
            env={name: str(self.attempt) for name in names},
            env_inherit="none",
            stop_signal="TERM",
            stop_grace=1.0,
            sampling=sampling,
        )
        made = replace(made, env={**made.env, "EXP_OUTPUT": str(self.attempt / "outputs")})
        line = shim_line(self.attempt, made, made.argv[0], shim=SHIM)
        member = member_text(made, attempt=self.attempt, mask="022", env=made.env, arguments=line[1:])
        (self._folder / "0").write_text(member)
        asked = request({}, made)
        script = job_script(asked, name="n", folder=self._folder, indices=(), news=self._folder / "news")
        script = script.replace("\nPATH=", "\n: PATH=", 1)  # that of the test, which has an nvidia-smi
        (self._folder / "script").write_text(script)
        argv = ["bash", str(self._folder / "script")]
        process = subprocess.Popen(argv, env={**os.environ, **env}, start_new_session=True)
        self._processes.append(process)
        return process

    def rows(self) -> list[tuple[float, dict[str, Any]]]:
        """What it has measured so far."""
        lines = self.samples.read_bytes().splitlines() if self.samples.exists() else []
        return [sample for line in lines if (sample := parse(line))]

    def of_session(self, process: subprocess.Popen[bytes]) -> list[str]:
        """The command lines of what runs in the session of the script."""
        found = []
        for each in psutil.process_iter():
            try:
                if os.getsid(each.pid) == process.pid and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(each.cmdline()))
            except (psutil.Error, OSError):
                continue
        return found

    def close(self) -> None:
        """Kill what is left."""
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[JobInBash]:
    """A job in a folder with quotes and spaces."""
    folder = tmp_path / "it's a job"
    folder.mkdir()
    job = JobInBash(folder)
    yield job
    job.close()


def test_a_job_measures_its_task_and_nothing_shows_it(job: JobInBash) -> None:
    """Each line is a sample; the exit code, the log and what the task receives are as without samples."""
    text = f"{until('go')}; exit 7"
    process = job.start(text, SLURMD_NODENAME='gpu-01"$x')
    eventually(lambda: len(job.rows()) >= 2)
    (job.attempt / "go").touch()
    assert process.wait(30) == 7
    (at, fields), (later, _) = job.rows()[:2]
    assert 0.5 < later - at < 3
    assert fields["node"] == "gpu-01x"
    assert fields["memory"] > MEGA / 2
    assert 0 <= fields["cpu"] < 2
    assert (job.attempt / "log").read_text() == ""
    eventually(lambda: job.of_session(process) == [])


@pytest.mark.parametrize("sampling", [None, 3600.0])
def test_a_job_that_ends_before_its_first_sample_has_no_file(job: JobInBash, sampling: float | None) -> None:
    """Neither a short task nor one without samples costs a file, and a sampler waits for nothing."""
    process = job.start("exit 3", sampling=sampling)
    assert process.wait(30) == 3
    assert not job.samples.exists()
    eventually(lambda: job.of_session(process) == [])


def test_a_sampler_ends_with_its_script(job: JobInBash) -> None:
    """After a KILL of the script alone, only the task is left."""
    process = job.start(until("go"))
    eventually(job.rows)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    eventually(lambda: not [line for line in job.of_session(process) if "slurm/script" in line])
    (job.attempt / "go").touch()
    eventually(lambda: job.of_session(process) == [])


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_nothing_but_a_file_takes_samples(job: JobInBash, tmp_path: Path, kind: str) -> None:
    """What a task has put in the place of the file is not followed, and changes nothing for it."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    make = {"link": f"ln -s {precious}", "folder": "mkdir", "fifo": "mkfifo"}[kind]
    process = job.start(f"{make} samples; sleep 1.6; exit 5")
    assert process.wait(30) == 5
    assert precious.read_text() == "mine"
    assert not job.samples.is_file() or job.samples.is_symlink()


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("2,0", {"gpu0.memory": 300, "gpu0.utilization": 33, "gpu1.memory": 100, "gpu1.utilization": 11}),
        ("GPU-00bb", {"gpu0.memory": 200}),
        ("7", {}),
        ("", {}),
    ],
)
def test_gpus_of_a_job_are_those_that_it_sees(
    job: JobInBash, tmp_path: Path, visible: str, expected: dict[str, int]
) -> None:
    """They are counted from 0 in the order of CUDA_VISIBLE_DEVICES; a job without GPUs reports none."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "nvidia-smi").write_text(NVIDIA_SMI)
    (folder / "nvidia-smi").chmod(0o755)
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": visible}
    process = job.start(until("go"), **env)
    ((_, fields), *_) = eventually(job.rows)
    (job.attempt / "go").touch()
    assert process.wait(30) == 0
    found = {name: value for name, value in fields.items() if name.startswith("gpu")}
    in_bytes = {name: value * MEGA if "memory" in name else value for name, value in expected.items()}
    assert found == in_bytes


def test_a_hanging_nvidia_smi_ends_with_the_task(job: JobInBash, tmp_path: Path) -> None:
    """It holds up neither the task nor its end, and nothing of it is left."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\ntouch {folder}/asked\nexec sleep 60\n")
    (folder / "nvidia-smi").chmod(0o755)
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "0"}
    process = job.start(f"{until('go')}; exit 6", **env)
    eventually((folder / "asked").exists)
    (job.attempt / "go").touch()
    assert process.wait(30) == 6
    eventually(lambda: job.of_session(process) == [], within=5)
    assert not job.samples.exists()


def test_a_control_group_of_the_job_counts_all_of_it(tmp_path: Path) -> None:
    """With cgroup v2 its figures are used, without pages of files that the kernel can drop at once."""
    group = tmp_path / "job_7"
    group.mkdir()
    (group / "memory.current").write_text("5000\n")
    (group / "memory.stat").write_text("anon 1\ninactive_file 2000\nactive_file 7\n")
    (group / "cpu.stat").write_text("usage_usec 123456\nuser_usec 100000\n")
    text = f"{job_sampler.FUNCTIONS}\n_exp_pool={group}\n_exp_used\necho $_exp_cpu $_exp_memory"
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "123456 3000\n"


def test_a_script_with_samples_passes_shellcheck(tmp_path: Path) -> None:
    """What is added to a job script is as clean as the rest."""
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/bin") or "shellcheck"
    text = f"#!/bin/bash\n{job_sampler.start(30.0, shares_job=False)}{job_sampler.END}"
    (tmp_path / "script").write_text(text)
    argv = [program, "--exclude=SC2154", str(tmp_path / "script")]  # set by the member, or measured
    assert subprocess.run(argv, capture_output=True, text=True, check=False).stdout == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"time":1.5,"node":"n1","cpu":0.25,"memory":7}', (1.5, {"cpu": 0.25, "memory": 7, "node": "n1"})),
        (b'{"time":1,"cpu":0,"loss":3,"_at":4,"step":1,"node":"a b"}', (1.0, {"cpu": 0})),
        (b'{"time":1,"gpu0.memory":5,"gpu0.power":5}', (1.0, {"gpu0.memory": 5})),
        *[(line, None) for line in (b"", b"{}", b"[]", b"null", b'{"time":1}', b'{"time":"x","cpu":1}')],
        *[(line, None) for line in (b'{"time":1,"cpu":NaN}', b'{"time":1,"cpu":true}', b'{"time":1,"cpu":1')],
        *[(line, None) for line in (b'{"time":1,"cpu":1e400}', b"\xff", b"[" * 100_000)],
    ],
)
def test_only_samples_are_read(line: bytes, expected: tuple[float, dict[str, Any]] | None) -> None:
    """Whatever a task has written into the file, only the fields of samples become rows."""
    assert parse(line) == expected


def rows(workspace: ExpWorkspace, task: str = "a") -> list[dict[str, Any]]:
    """The samples of a task."""
    found = record(workspace.home.dash, f"{PREFIX}/{task}")
    return [] if found is None else list(found.data().metrics("system").read())


def is_sampled(workspace: ExpWorkspace, options: dict[str, Any], work: Path) -> None:
    """Run a task on a cluster, under two supervisors, and compare its rows with what its job wrote."""
    run = workspace.start(
        {"a": {"inline": until(str(work / "go"))}, "short": "true"},
        defaults={"workdir": str(work)},
        executors={"cluster": options},
        executor="cluster",
        prefix=PREFIX,
        tracking={"system": "1s"},
    )
    eventually(lambda: rows(workspace))
    kill_supervisor(run)
    path = run.files.attempt("a", 1).samples
    before = len(rows(workspace))
    assert run.resume()
    eventually(lambda: len(rows(workspace)) > before + 1)
    (work / "go").touch()
    assert run.wait(timeout=60).status == "COMPLETED"
    written = [json.loads(line) for line in path.read_text().splitlines()]
    fields = ("cpu", "memory", "node")
    assert [(row["_ts"], *(row[name] for name in fields)) for row in rows(workspace)] == [
        (line["time"], *(line[name] for name in fields)) for line in written
    ]
    assert not run.files.attempt("short", 1).samples.exists()


if IS_LONG:  # the contract has the short form of the first two

    @pytest.mark.usefixtures("slurm")
    def test_samples_of_a_slurm_job_are_rows_once(workspace: ExpWorkspace) -> None:
        """Each line that a job writes is one row, whatever happens to the supervisor."""
        is_sampled(workspace, {"type": "slurm"}, workspace.folder)

    def test_samples_of_a_job_behind_ssh_are_rows_once(workspace: ExpWorkspace, far: Far) -> None:
        """Lines are fetched as they are added, and each is one row."""
        with tempfile.TemporaryDirectory(dir=far.work) as name:
            Path(name).chmod(0o777)
            is_sampled(workspace, far.options(), Path(name))

    @pytest.mark.usefixtures("slurm")
    def test_each_node_of_a_job_is_sampled(workspace: ExpWorkspace) -> None:
        """The rows name their node, the log has nothing of the samples, and the task ends as without."""
        text = f"{until('go')}; echo over"
        run = workspace.start(
            {"a": {"inline": text}},
            executors={"cluster": {"type": "slurm", "partition": "pair", "nodes": 2}},
            executor="cluster",
            prefix=PREFIX,
            tracking={"system": "1s"},
        )
        eventually(lambda: len({row["node"] for row in rows(workspace)}) == 2)
        workspace.touch("go")
        ended = run.wait(timeout=60).history.tasks["a"]
        assert (ended.exit_code, log(run, "a")) == (0, "over\nover\n")

    @pytest.mark.usefixtures("slurm")
    def test_members_that_share_a_job_are_measured_each(workspace: ExpWorkspace) -> None:
        """Of a co-scheduled group, each has rows of its own processes; so has each of an array."""
        program = 'import os, time\nx = b"x" * (40 << 20)\nwhile not os.path.exists("go"): time.sleep(0.05)'
        large = {"name": "large", "command": ["python3", "-c", program]}
        members = [large, {"name": "small", "inline": until("go")}]
        tasks = {
            "pair": {"group": members, "together": True},
            "sweep": {"inline": until("go"), "matrix": {"x": [1, 2]}},
        }
        run = workspace.start(
            tasks,
            executors={"cluster": {"type": "slurm"}},
            executor="cluster",
            prefix=PREFIX,
            tracking={"system": "1s"},
        )
        names = ("pair/large", "pair/small", "sweep/x=1", "sweep/x=2")
        eventually(lambda: any(row["memory"] > 40 << 20 for row in rows(workspace, "pair/large")))
        found = {name: eventually(lambda name=name: rows(workspace, name)) for name in names[1:]}
        workspace.touch("go")
        assert run.wait(timeout=60).status == "COMPLETED"
        assert all(row["memory"] < 40 << 20 for each in found.values() for row in each)
