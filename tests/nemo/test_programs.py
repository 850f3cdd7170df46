"""Programs made of NeMo-Run's documents, with only their import changed, end as these documents describe."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.experiment.run import Run
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAMS = Path(__file__).parent / "programs"
DRIVER = Path(__file__).parent.parent / "support" / "forked_programs.py"


@dataclass(frozen=True)
class Expected:
    """How a program ends.

    Attributes:
        code: its exit code.
        tasks: the statuses of the tasks of its experiments, the oldest first; None if it starts none.
        out: lines that it prints to standard output, in this order.
        err: texts that it prints to standard error.
    """

    code: int = 0
    tasks: tuple[Mapping[str, str], ...] = ()
    out: tuple[str, ...] = ()
    err: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


OK = "SUCCEEDED"
EXPECTED = {
    "p01_first": Expected(
        tasks=({"echo_one": OK},),
        out=("Experiment Status for my-experiment_", "Task 0: echo_one", "- Status: SUCCEEDED"),
    ),
    "p02_list_without_name": Expected(
        code=2, err=("p02_list_without_name.py:6: a list of tasks needs a name",)
    ),
    "p03_dag": Expected(
        tasks=({f"task-{task}/{member}": OK for task in (1, 2, 3) for member in (0, 1)},),
    ),
    "p04_detached": Expected(tasks=({"long": "CANCELLED"},), out=("- Status: RUNNING", "begun", "CANCELLED")),
    "p05_found_again": Expected(tasks=({"task": OK},), out=("True", "Task 0: task", "found")),
    "p06_command": Expected(tasks=({"train": OK},), out=("train | trained with 0.5",)),
    "p07_python_in_bash": Expected(code=1, tasks=({"hello": "FAILED"},), out=("- Status: FAILED",)),
    "p08_torchrun": Expected(out=("   command:  torchrun --standalone --nproc_per_node=2 train.py",)),
    "p09_docker": Expected(out=("   executor: docker", "   env:      PYTHONUNBUFFERED=1")),
    "p10_slurm_over_ssh": Expected(
        out=("would ship", "   executor: slurm", "   retries:  1", "   host:     login.cluster")
    ),
    "p12_hybrid": Expected(tasks=({"list": OK},), out=("list | ./scripts/echo.sh",)),
    "p13_entrypoint": Expected(
        out=("training 256x2 for 1 with 0.001",), args=("model.hidden=256", "lr=1e-3", "-y")
    ),
    "p14_factory": Expected(out=("training 32x1 for 1",), args=("model=small", "model.hidden=32", "-y")),
    "p15_broadcast": Expected(
        tasks=({"p15_broadcast.show": OK},),
        out=("True False", "p15_broadcast.show | left 10 True", "p15_broadcast.show | right 6 True"),
    ),
    "p16_config_of_path": Expected(
        tasks=({"p16_config_of_path.read": OK},),
        out=("p16_config_of_path.read | PurePath /tmp {'rows': 3, 'columns': 4}",),
    ),
    "p17_one_task": Expected(
        tasks=({"simple.objects.add": OK}, {"script": OK}),
        out=("5 + 10 = 15", "simple.objects.add | 5 + 10 = 15", "   call:     simple.objects:add(a=5, b=10)"),
    ),
    "p18_plugin": Expected(tasks=({"train": OK},), out=("5 {}", "train | model 15 7 True")),
    "p19_cloned_executor": Expected(
        tasks=({"one": OK, "two": OK},), out=("one | in first", "two | in second")
    ),
    "p20_lepton": Expected(
        code=2, err=("p20_lepton.py:3: LeptonExecutor has no counterpart", "hint: use Local")
    ),
    "p21_ray": Expected(code=2, err=("p21_ray.py:4: RayCluster has no counterpart", "hint: start Ray")),
    "p22_import_executor": Expected(tasks=({"echo_in_P": OK},), out=("echo_in_P | in imported",)),
    "p23_reset": Expected(
        tasks=({"first": OK, "second": OK},) * 3, out=("Task 1: second", "2 True", "changed")
    ),
    "p24_loop": Expected(tasks=({"train": OK, "train_1": OK, "train_2": OK},), out=("train | lr 0.1",)),
    "hello_scripts": Expected(
        tasks=({"echo.sh": OK, "env_grep": OK, "simple.objects.add_sizes": OK},),
        out=("Task 2: simple.objects.add_sizes", "- Executor: LocalExecutor"),
        err=("echo.sh | from a file:", "simple.objects.add_sizes | total = Sizes(one=15, two=30, three=45)"),
    ),
}


@dataclass(frozen=True)
class Ended:
    """A program that ended: what it printed, and its home."""

    code: int
    out: str
    err: str
    home: Home

    def statuses(self) -> list[dict[str, str]]:
        """Those of the tasks of each experiment."""
        ids = [experiment_id for _, experiment_id in self.home.readable_ids(self.home.names())]
        runs = [Run(files, self.home).status() for files in self.home.readable(ids)]
        runs.sort(key=lambda run: str(run.history.created["time"]))
        return [{name: str(state.status) for name, state in run.history.tasks.items()} for run in runs]


@dataclass(frozen=True)
class Folder:
    """A folder with the programs, and one home for each."""

    programs: Path
    results: Path
    env: dict[str, str] = field(default_factory=dict)

    def description(self, name: str, *args: str) -> dict[str, Any]:
        """What the driver takes."""
        home = self.home(name)
        home.mkdir()
        shutil.copy(self.programs / "executors.py", home)
        return {
            "name": name,
            "argv": [str(self.programs / f"{name}.py"), *args],
            "cwd": str(self.programs),
            "env": {**self.env, "NEMORUN_HOME": str(home)},
            "results": str(self.results),
        }

    def home(self, name: str) -> Path:
        """The home of a program."""
        return self.results / f"{name}.home"

    def run(self, programs: list[dict[str, Any]]) -> dict[str, Ended]:
        """Run programs, and return how they ended."""
        driver = [sys.executable, str(DRIVER), json.dumps(programs)]
        done = subprocess.run(driver, capture_output=True, text=True, timeout=100, check=True)
        return {
            name: Ended(
                code,
                (self.results / f"{name}.out").read_text(),
                (self.results / f"{name}.err").read_text(),
                Home(self.home(name)),
            )
            for name, code in json.loads(done.stdout).items()
        }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A copy of the programs in a repository, as they ship it."""
    top = tmp_path_factory.mktemp("nemo")
    shutil.copytree(PROGRAMS, top / "programs", ignore=shutil.ignore_patterns("__pycache__"))
    (top / "results").mkdir()
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "programs")):
        subprocess.run(["git", *words], cwd=top / "programs", check=True)
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160"}
    return Folder(top / "programs", top / "results", env)


@pytest.fixture(scope="module")
def ended(folder: Folder) -> dict[str, Ended]:
    """All programs after their end."""
    return folder.run([folder.description(name, *how.args) for name, how in EXPECTED.items()])


@pytest.mark.parametrize("name", EXPECTED)
def test_a_program_of_nemo_run_ends_as_its_documents_describe(name: str, ended: dict[str, Ended]) -> None:
    """Each has the exit code, the tasks and the output that its text promises."""
    expected, found = EXPECTED[name], ended[name]
    assert found.code == expected.code, found.err
    assert found.statuses() == [dict(tasks) for tasks in expected.tasks]
    lines = iter(found.out.splitlines())
    for wanted in expected.out:
        assert any(line.startswith(wanted) for line in lines), f"{wanted!r} is not in order in\n{found.out}"
    for text in expected.err:
        assert text in found.err
    assert "Traceback" not in found.err


def test_every_program_is_run() -> None:
    """No program is in the folder that no test runs."""
    names = {path.stem for path in PROGRAMS.glob("*.py")} - {"executors", "train"}
    assert names == {*EXPECTED, "p11_slurm_dependencies"}


def test_a_status_has_the_layout_of_the_documents(ended: dict[str, Ended]) -> None:
    """One paragraph per task, with its status, executor, job id and folder."""
    text = ended["p23_reset"].out
    assert re.fullmatch(
        r"Experiment Status for (?P<id>reset_\d+(-\d+)?)\n"
        r"\nTask 0: first\n- Status: SUCCEEDED\n- Executor: LocalExecutor\n- Job id: \d+\n"
        r"- Local Directory: (?P<home>/.*)/experiments/reset/(?P=id)/tasks/first\n"
        r"\nTask 1: second\n- Status: SUCCEEDED\n- Executor: LocalExecutor\n- Job id: \d+\n"
        r"- Local Directory: (?P=home)/experiments/reset/(?P=id)/tasks/second\n",
        text[: text.index("2 True")],
    )
