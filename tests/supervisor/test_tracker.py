from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import kill, kill_supervisor, shim_pid, statuses, until

from nemorun_cli.experiment.records import targets
from nemorun_cli.tracking import record

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.experiment.run import Run
    from nemorun_cli.tracking import Record

PREFIX = "alice/vision/tried"
WAIT = ["sh", "-c", until("go")]


def python(text: str) -> dict[str, Any]:
    """A task that runs a program which tracks."""
    return {"command": [sys.executable, "-c", f"from nemorun_cli import Experiment\n{text}"]}


def own(workspace: ExpWorkspace, prefix: str = PREFIX) -> Record:
    """A record in the home."""
    found = record(workspace.home.dash, prefix)
    assert found is not None
    return found


def chosen(run: Run) -> dict[str | None, TargetRecord]:
    """What an experiment recorded, by task."""
    return {one.task: one for one in targets.of_experiment(run.status(), home=run.home.directory)}


def said(run: Run) -> str:
    """What the supervisor had to say."""
    return run.files.supervisor_log.read_text()


@pytest.mark.parametrize("is_over", [False, True])
def test_a_record_that_is_moved_away_is_written_again(workspace: ExpWorkspace, is_over: object) -> None:
    """Rows go where a command finds them, the supervisor's log says why, and the task has succeeded."""
    go, wait = until("go"), until("more")
    last = "echo loss=3" if is_over else f"echo loss=3; {wait}"
    task = {"inline": f"echo loss=1; {go}; {last}", "metrics": {"train": r"loss=(?P<loss>\S+)"}}
    run = workspace.start({"a": task}, prefix=PREFIX)

    def rows() -> list[float]:
        here = record(workspace.home.dash, f"{PREFIX}/a")
        return [row["loss"] for row in here.data().metrics("train").read()] if here else []

    eventually(lambda: rows() == [1])
    place = workspace.home.dash / PREFIX / "a/.record"
    place.rename(workspace.folder / "moved")
    workspace.touch("go")
    if not is_over:
        eventually(lambda: rows() == [1, 3])
        workspace.touch("more")
    assert run.wait(timeout=60).status == "COMPLETED"
    assert rows() == [1, 3]
    assert own(workspace, f"{PREFIX}/a").status == "COMPLETED"
    assert "moved or removed" in said(run)


def test_the_record_of_a_run_lives_as_the_run_does(workspace: ExpWorkspace) -> None:
    """It is RUNNING with the run, ends as it ends, runs again when resumed, and knows what the spec says."""
    run = workspace.start(
        {"a": f"{until('go')}; test -e fine"},
        prefix=PREFIX,
        params={"lr": 0.1},
        tags=["x"],
        description="why",
    )
    eventually(lambda: record(workspace.home.dash, PREFIX))
    assert own(workspace).status == "RUNNING"
    workspace.touch("go")
    run.wait(timeout=60)
    failed = own(workspace)
    assert (failed.status, failed.message, failed.tags, failed.description) == (
        "FAILED",
        "1 FAILED",
        ["x"],
        "why",
    )
    assert failed.data().params.get() == {"lr": 0.1}
    (workspace.folder / "go").unlink()
    run.resume()
    eventually(lambda: own(workspace).status == "RUNNING")
    workspace.touch("fine")
    workspace.touch("go")
    run.wait(timeout=60)
    assert [str(opening.status) for opening in own(workspace).openings] == ["FAILED", "COMPLETED"]


def test_a_run_without_a_prefix_has_one_of_its_own(workspace: ExpWorkspace) -> None:
    """Without a prefix records lie under the user, the name and the id."""
    run = workspace.start({"a": "true"})
    assert run.wait(timeout=60).history.created["prefix"].endswith(f"/tried/{run.id}")
    assert chosen(run)[None].status == "COMPLETED"


def test_arguments_and_matrix_values_are_params_without_any_code(workspace: ExpWorkspace) -> None:
    """What a partial is called with, and what a matrix gives a task, are params of the task's own record."""
    (workspace.folder / "net.py").write_text("def train(lr, model): print(lr, model)\n")
    run = workspace.start(
        {
            "train": {
                "partial": "net:train",
                "args": {"lr": "${{ matrix.lr }}", "model": {"depth": 3}},
                "matrix": {"lr": [0.1, 0.2], "seed": [7]},
            },
            "plain": {"inline": "true", "matrix": {"size": [1]}},
        },
        prefix=PREFIX,
    )
    run.wait(timeout=60)
    found = {task: one.params() for task, one in chosen(run).items()}
    assert found["train/lr=0.1,seed=7"] == {"seed": 7, "lr": 0.1, "model.depth": 3}
    assert found["plain/size=1"] == {"size": 1}
    assert all(one.status == "COMPLETED" for one in chosen(run).values())


def test_tasks_that_track_nothing_leave_nothing(workspace: ExpWorkspace) -> None:
    """A task without params and without a record of its own costs no file."""
    workspace.start({"a": "true", "b": "false"}, prefix=PREFIX).wait(timeout=60)
    assert [path.name for path in (workspace.home.dash / PREFIX).iterdir()] == [".record"]


def test_the_verdict_of_the_supervisor_wins(workspace: ExpWorkspace) -> None:
    """However a program ended its record, and wherever that lies, it is told as its task ended."""
    open_one = "experiment = Experiment(); experiment.run.start()\n"
    elsewhere = 'Experiment(prefix="bob/own/place", dash_root="mine").run.start()\n'
    run = workspace.start(
        {
            "killed": python(f"{open_one}import os; os.kill(os.getpid(), 9)"),
            "lied": python(f"{open_one}experiment.run.complete(); raise SystemExit(3)"),
            "caught": python("try:\n with Experiment().run: raise ValueError(1)\nexcept ValueError: pass"),
            "raised": python("with Experiment().run: raise ValueError('too bad')"),
            "elsewhere": python(f"{elsewhere}import os; os._exit(4)"),
        },
        prefix=PREFIX,
    )
    run.wait(timeout=60)
    found = chosen(run)
    told = {task: (str(one.status), one.decisive.reason, one.decisive.message) for task, one in found.items()}
    assert told["killed"] == ("FAILED", "signal", "killed by SIGKILL")
    assert told["lied"] == ("FAILED", "exit", None)
    assert told["caught"] == ("COMPLETED", None, None)
    assert told["raised"] == ("FAILED", "exit", "ValueError: too bad")
    assert told["elsewhere"] == ("FAILED", "exit", None)
    assert found["elsewhere"].record.root == str(workspace.folder / "mine")


def test_an_observer_closes_what_a_crash_left_open(workspace: ExpWorkspace) -> None:
    """Where supervisor and task are gone, the next look has the last word on their records."""
    run = workspace.start(
        {
            "a": python(
                f"with Experiment().run as e: e.log('begun'); import subprocess; subprocess.run({WAIT})"
            )
        },
        prefix=PREFIX,
    )
    eventually(lambda: record(workspace.home.dash, f"{PREFIX}/a"))
    eventually(lambda: record(workspace.home.dash, PREFIX))
    kill_supervisor(run)
    assert own(workspace).reason == "lost"
    workspace.touch("go")
    eventually(lambda: run.status().is_over)
    assert (own(workspace).status, own(workspace, f"{PREFIX}/a").status) == ("COMPLETED", "COMPLETED")
    assert own(workspace, f"{PREFIX}/a").openings[0].verdict is not None


def test_a_task_goes_on_while_its_supervisor_is_gone(workspace: ExpWorkspace) -> None:
    """What a supervisor recorded of a task stays RUNNING until somebody knows how it ended."""
    run = workspace.start({"a": {"inline": until("go"), "matrix": {"lr": [1]}}}, prefix=PREFIX)
    name = "a/lr=1"
    eventually(lambda: run.status().history.tasks[name].status == "RUNNING")
    kill_supervisor(run)
    assert own(workspace, f"{PREFIX}/{name}").status == "RUNNING"
    kill(shim_pid(run, name))
    workspace.touch("go")
    eventually(lambda: run.status().history.tasks[name].is_over)
    lost = own(workspace, f"{PREFIX}/{name}")
    assert (lost.status, lost.reason) == ("FAILED", "lost")


def test_numbers_in_the_output_are_rows_once_over_a_crash(workspace: ExpWorkspace) -> None:
    """Patterns read each line once, while the task runs and however often its supervisor is killed."""
    run = workspace.start(
        {
            "a": {
                "inline": f"echo loss=1; {until('go')}; echo loss=2; {until('end')}; printf loss=3",
                "metrics": {"train": [r"loss=(?P<loss>\S+)", r"loss=(?P<one>1)", r"acc=(?P<acc>\S+)"]},
            }
        },
        prefix=PREFIX,
    )

    def losses() -> list[float]:
        told = record(workspace.home.dash, f"{PREFIX}/a")
        rows = told.data().metrics("train").read() if told else []
        return [row["loss"] for row in rows if "loss" in row]

    eventually(lambda: losses() == [1])
    kill_supervisor(run)
    workspace.touch("go")
    run.resume()
    eventually(lambda: losses() == [1, 2])
    kill_supervisor(run)
    workspace.touch("end")
    eventually(lambda: run.status().is_over)
    assert losses() == [1, 2, 3]
    assert own(workspace, f"{PREFIX}/a").status == "COMPLETED"
    unmatched = run.status().to_json()["tasks"][0]["unmatched_metrics"]
    assert [entry["pattern"] for entry in unmatched] == [r"acc=(?P<acc>\S+)"]


def test_each_attempt_is_an_opening_of_its_own(workspace: ExpWorkspace) -> None:
    """A task that is tried again has an opening for each try, with its own verdict and its own numbers."""
    task = {
        "inline": 'echo "loss=$EXP_ATTEMPT"; test "$EXP_ATTEMPT" = 2',
        "retry": {"limit": 1},
        "metrics": {"train": r"loss=(?P<loss>\d+)"},
    }
    workspace.run({"a": task}, prefix=PREFIX)
    found = own(workspace, f"{PREFIX}/a")
    assert [(opening.facts["attempt"], str(opening.status)) for opening in found.openings] == [
        (1, "FAILED"),
        (2, "COMPLETED"),
    ]
    second = found.ids(task="a", attempt=2)
    assert found.data().metrics("train").last("loss", openings=second) == 2
    assert found.data().metrics("train").stats()["loss"]["count"] == 1
    assert found.data().metrics("train").stats(attempts="all")["loss"]["count"] == 2


def test_trouble_with_records_changes_no_fate(workspace: ExpWorkspace) -> None:
    """A place where nothing can be written is told in the supervisor's log, and everything runs as ever."""
    (workspace.folder / "taken").write_text("a file")
    task = {"inline": "echo loss=1", "matrix": {"lr": [1]}, "metrics": {"train": r"loss=(?P<loss>\d+)"}}
    run = workspace.start({"a": task}, prefix=PREFIX, tracking={"dash_root": "taken/records"})
    assert statuses(run.wait(timeout=60)) == {"a/lr=1": "SUCCEEDED"}
    assert "tracking: the record of the run: [Errno 20]" in said(run)
    assert "tracking: the params of a/lr=1: [Errno 20]" in said(run)
    assert "Traceback" not in said(run)


@pytest.mark.parametrize(
    "content", ["rubbish\n", '{"event": 3}\n', '{"event":"opened","format":"exp.record/9"}\n']
)
def test_a_record_that_cannot_be_read_changes_no_fate(workspace: ExpWorkspace, content: str) -> None:
    """Damage in a record, or one of a newer version, is told, and tasks succeed all the same."""
    folder = workspace.home.dash / PREFIX / "a" / "lr=1" / ".record" / "openings"
    folder.mkdir(parents=True)
    (folder / "0001-x.jsonl").write_text(content)
    run = workspace.start({"a": {"inline": "true", "matrix": {"lr": [1]}}}, prefix=PREFIX)
    assert run.wait(timeout=60).status == "COMPLETED"
    assert "tracking: the params of a/lr=1" in said(run)


def test_lines_that_are_no_notes_are_passed_over(workspace: ExpWorkspace) -> None:
    """Whatever a task writes into the list of its records, nothing outside of records is touched."""
    notes = [
        "rubbish",
        "[]",
        json.dumps({"dash_root": "relative", "prefix": "a"}),
        json.dumps({"dash_root": "/", "prefix": "../etc"}),
        json.dumps({"dash_root": str(workspace.folder), "prefix": "a"}),
    ]
    (workspace.folder / "notes").write_text("\n".join(notes))
    run = workspace.start({"a": 'cp notes "$(dirname "$EXP_OUTPUT")/records"'}, prefix=PREFIX)
    assert run.wait(timeout=60).status == "COMPLETED"
    assert said(run).count("tracking") == 0
    assert not (workspace.folder / "a").exists()


def test_a_report_task_compares_the_run_it_is_part_of(workspace: ExpWorkspace) -> None:
    """A task can compare the others by what they measured, as soon as they are over."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    workspace.run(
        {
            "train": {
                "inline": 'echo "loss=$(( 10 - $1 ))"',
                "args": ["${{ matrix.lr }}"],
                "matrix": {"lr": [1, 5, 3]},
                "metrics": {"train": r"loss=(?P<loss>\d+)"},
            },
            "report": {
                "inline": 'exp compare "$EXP_ID" --sort loss > report.txt',
                "dependencies": ["train"],
                "env": {"PATH": path},
            },
        }
    )
    lines = (workspace.folder / "report.txt").read_text().splitlines()
    assert [line.split() for line in lines] == [
        ["RECORD", "STATUS", "lr", "train/loss"],
        ["train/lr=5", "COMPLETED", "5", "5"],
        ["train/lr=3", "COMPLETED", "3", "7"],
        ["train/lr=1", "COMPLETED", "1", "9"],
    ]


def of_this_python() -> list[str]:
    """Volumes with which an image that holds next to nothing has this Python, and this package."""
    folders = {"/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix, str(Path(__file__).parents[2])}
    return [f"{folder}:{folder}:ro" for folder in sorted(folders) if Path(folder).is_dir()]


TRACKING = python(
    "with Experiment().run as experiment:\n"
    "    experiment.params.set(lr=0.1)\n"
    "    experiment.metrics('train').log(loss=0.25, step=1)\n"
    "    experiment.files('models').save_text('weights', to='model.txt')\n"
)


def is_recorded(workspace: ExpWorkspace, executor: dict[str, Any]) -> None:
    """Run tasks that track, and one whose output is measured; read here what they recorded there."""
    tasks = {
        "train": TRACKING,
        "measured": {
            "inline": "echo loss=0.5",
            "entrypoint": "sh",
            "metrics": {"loss": r"loss=(?P<loss>\S+)"},
        },
        "killed": {"command": [*TRACKING["command"][:2], KILLED]},
    }
    run = workspace.start(tasks, prefix=PREFIX, executors={"there": executor}, executor="there")
    ended = run.wait(timeout=120)
    assert {task: str(state.status) for task, state in ended.history.tasks.items()} == {
        "train": "SUCCEEDED",
        "measured": "SUCCEEDED",
        "killed": "FAILED",
    }
    trained = own(workspace, f"{PREFIX}/train")
    assert trained.data().params.get() == {"lr": 0.1}
    assert [row["loss"] for row in trained.data().metrics("train").read()] == [0.25]
    assert [row["loss"] for row in own(workspace, f"{PREFIX}/measured").data().metrics("loss").read()] == [
        0.5
    ]
    killed = own(workspace, f"{PREFIX}/killed")
    assert [row["loss"] for row in killed.data().metrics("train").read()] == [1.0]
    assert [one.status for one in (trained, killed)] == ["COMPLETED", "FAILED"]


KILLED = (
    "import os; from nemorun_cli import Experiment; experiment = Experiment(); experiment.run.start();"
    "experiment.metrics('train').log(loss=1.0); os.kill(os.getpid(), 9)"
)


@pytest.mark.usefixtures("docker_engine")
def test_a_record_of_a_container_is_read_here(workspace: ExpWorkspace) -> None:
    """What a task in a container tracks lies in the home, and the supervisor closes what a kill left open."""
    is_recorded(workspace, {"type": "docker", "image": "exp-test/busybox", "volumes": of_this_python()})


@pytest.mark.usefixtures("slurm")
def test_a_record_of_a_slurm_job_is_read_here(workspace: ExpWorkspace) -> None:
    """What a task on a cluster tracks lies in the home, and the supervisor closes what a kill left open."""
    is_recorded(workspace, {"type": "slurm"})
