"""Results that are taken instead of a run, and kept, by real supervisors: whatever stops or changes them."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG, amount
from support.patience import eventually
from support.workspace import events, kill_supervisor, log, status, until

from nemorun_cli.experiment import preview
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.spec import load
from nemorun_cli.storage import events as kinds
from nemorun_cli.system import crashpoints
from nemorun_cli.system.files import descriptor_to_change, make_folder
from nemorun_cli.tracking import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

C, S = ExperimentStatus.COMPLETED, TaskStatus.SUCCEEDED


def pipeline(**more: Any) -> dict[str, Any]:
    """Two tasks, of which the second one needs a file of the first."""
    return {
        "make": {
            "inline": "echo make >>ran; cp raw made; echo n=7 >>$EXP_OUTPUT",
            "cache": {"inputs": ["raw"], "outputs": ["made"]},
            **more,
        },
        "use": {
            "inline": "echo use >>ran; cat made; echo ${{ tasks.make.outputs.n }}",
            "cache": {"inputs": ["made"]},
            "dependencies": ["make"],
        },
    }


def ended(run: Run) -> dict[str, tuple[TaskStatus, str | None]]:
    """How the tasks of an experiment that finishes have ended, with the reasons."""
    final = run.wait(timeout=60)
    return {name: (state.status, state.reason) for name, state in final.history.tasks.items()}


def kept(run: Run) -> dict[str, str | None]:
    """By task, why its result was not kept; None if it was."""
    return {each["task"]: each.get("message") for each in events(run) if each["event"] == kinds.KEPT}


@contextmanager
def store_held(workspace: ExpWorkspace) -> Iterator[None]:
    """A context in which no result can be kept or taken."""
    make_folder(workspace.home.step_cache)
    descriptor = descriptor_to_change(workspace.home.step_cache_lock)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


CACHED = {"make": (S, Reason.CACHED), "use": (S, Reason.CACHED)}
RAN = {"make": (S, None), "use": (S, None)}


def test_a_second_run_has_the_results_of_the_first(workspace: ExpWorkspace) -> None:
    """Nothing runs; outputs, files, the state for scripts, and the log say whose results they are."""
    (workspace.folder / "raw").write_text("data\n")
    first = workspace.start(pipeline())
    assert ended(first) == RAN
    assert kept(first) == {"make": None, "use": None}
    (workspace.folder / "made").unlink()
    second = workspace.start(pipeline())
    assert ended(second) == CACHED
    assert workspace.lines() == ["make", "use"]
    assert (workspace.folder / "made").read_text() == "data\n"
    task = workspace.exp.task("make")
    assert task["cached_from"] == {"experiment": first.id, "task": "make", "attempt": 1}
    assert (task["attempt"], task["exit_code"], task["outputs"]) == (1, 0, {"n": "7"})
    assert workspace.exp("logs", second.id, "use", "--origin").stdout == "data\n7\n"
    assert log(second, "use") == f"it has the result of use of {first.id}, which exp logs --origin prints\n"
    if IS_LONG:
        third = workspace.start(pipeline())
        assert ended(third) == CACHED
        assert workspace.exp.task("use")["cached_from"]["experiment"] == first.id, "it is that of the run"
        workspace.exp("rm", first.id)
        assert f"exp rm --restore {first.id}" in workspace.exp("logs", "--origin", code=3).stderr
        assert ended(workspace.start(pipeline())) == CACHED, (
            "what is kept stays when its experiment is removed"
        )


def test_members_of_a_sweep_have_results_of_their_own(workspace: ExpWorkspace) -> None:
    """A value that is added runs; the others have their results, and the best is chosen among all."""

    def sweep(*values: float) -> dict[str, Any]:
        task = {
            "inline": "echo ${{ matrix.x }} >>ran; echo loss:=${{ matrix.x }} >>$EXP_OUTPUT",
            "matrix": {"x": list(values)},
            "best": {"metric": "outputs.loss", "goal": "minimize"},
            "cache": True,
        }
        best = {"inline": "echo ${{ tasks.t.best.id }}", "dependencies": ["t"]}
        return {"t": task, "best": best}

    assert workspace.run(sweep(0.5, 0.25)).status is C
    run = workspace.start(sweep(0.5, 0.125, 0.25))
    ends = {name: reason for name, (_, reason) in ended(run).items()}
    assert ends == {"t/x=0.5": "cached", "t/x=0.125": None, "t/x=0.25": "cached", "best": None}
    assert (log(run, "best"), workspace.lines().count("0.25")) == ("t/x=0.125\n", 1)


def test_nothing_is_kept_of_what_did_not_simply_succeed(workspace: ExpWorkspace) -> None:
    """Only a clean success is kept, and no attempt whose input changed or that lacks a declared file."""
    (workspace.folder / "raw").write_text("1")
    tasks = {
        "fails": {"inline": "exit 3", "cache": True, "allow_failure": True},
        "retries": {
            "inline": 'test "$EXP_ATTEMPT" = 2',
            "cache": True,
            "retry": {"limit": 1},
        },
        "changes": {"inline": "echo more >>raw", "cache": {"inputs": ["raw"]}},
        "forgets": {"inline": "true", "cache": {"outputs": ["nothing.*"]}},
    }
    run = workspace.start(tasks, run={"max_parallel": 1})
    assert run.wait(timeout=60).status is C
    assert kept(run) == {
        "retries": None,
        "changes": "what it depends on was changed while it ran: input:raw",
        "forgets": "no file matches nothing.*, which cache.outputs names",
    }
    if not IS_LONG:
        return
    again = ended(workspace.start(tasks, run={"max_parallel": 1}))
    assert {name: str(reason) for name, (_, reason) in again.items()} == {
        "fails": "exit",
        "retries": "cached",
        "changes": "None",
        "forgets": "None",
    }


def test_what_depends_on_a_task_starts_when_its_result_is_kept(workspace: ExpWorkspace) -> None:
    """A task that changes the files of its parent does not change what is kept of them."""
    tasks = {
        "make": {"inline": "echo made >x", "cache": {"outputs": ["x"]}},
        "change": {"inline": "echo changed >>x", "dependencies": ["make"]},
    }
    with store_held(workspace):
        run = workspace.start(tasks)
        eventually(lambda: status(run, "make") == "SUCCEEDED")
        assert status(run, "change") == "PENDING"
    assert run.wait(timeout=60).status is C
    (workspace.folder / "x").unlink()
    assert ended(workspace.start(tasks)) == {"make": (S, Reason.CACHED), "change": (S, None)}
    assert (workspace.folder / "x").read_text() == "made\nchanged\n"


def test_cancelled_while_a_result_is_looked_for(workspace: ExpWorkspace) -> None:
    """The task is CANCELLED at once, and has nothing of the result."""
    (workspace.folder / "raw").write_text("data\n")
    assert ended(workspace.start(pipeline())) == RAN
    (workspace.folder / "made").unlink()
    with store_held(workspace):
        run = workspace.start(pipeline())
        eventually(run.files.attempt("make", 1).lock.exists)
        run.cancel()
        assert run.wait(timeout=60).status is ExperimentStatus.CANCELLED
    assert not (workspace.folder / "made").exists()


@pytest.mark.parametrize("point", ["step_cache.found"])
def test_killed_before_the_ledger_has_the_result(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """The next supervisor takes it again, once."""
    (workspace.folder / "raw").write_text("data\n")
    assert ended(workspace.start(pipeline())) == RAN
    with monkeypatch.context() as patch:
        patch.setenv(crashpoints.VARIABLE, f"{point}:1")
        run = workspace.start(pipeline())
    eventually(lambda: run.status(observe=False).supervisor == "gone")
    run.resume()
    assert ended(run) == CACHED
    assert workspace.lines() == ["make", "use"]


def test_renewed(workspace: ExpWorkspace) -> None:
    """`--refresh` runs a task and replaces its result, `--no-cache` neither takes nor keeps any."""
    tasks = {"t": {"inline": "echo ran >>ran; echo n=$(wc -l <ran) >>$EXP_OUTPUT", "cache": True}}
    spec = workspace.spec(tasks)
    options: tuple[tuple[str, ...], ...] = ((), (), ("--refresh", "t"), ("--no-cache",), ())
    outputs = []
    for given in options:
        workspace.exp("run", spec, *given)
        outputs.append(workspace.exp.task("t")["outputs"]["n"])
    assert outputs == ["1", "1", "2", "3", "2"]
    wrong = workspace.exp("run", spec, "--refresh", "tt", code=2).stderr
    assert "run.refresh: no task is called 'tt'" in wrong
    assert "did you mean" in wrong


class PipelineModel:
    """What a pipeline of two tasks must do, step by step: which tasks run, and which have earlier results.

    Args:
        workspace: where it runs.
    """

    def __init__(self, workspace: ExpWorkspace) -> None:
        self._workspace = workspace
        self._raw, self._text = "a", ""
        self._kept: set[tuple[str, ...]] = set()  # what results are kept of
        self.run: Run | None = None

    def change_input(self, random: Random) -> None:
        """A file that the first task reads has this content now, or again."""
        self._raw = random.choice("ab")

    def change_text(self, random: Random) -> None:
        """The second task is another one, or the former one again."""
        self._text = random.choice(["", "; exit 0"])

    def step(self, *, is_resumed: bool) -> None:
        """Run it, or run its first task again; check what ran, and what its files and outputs are."""
        space = self._workspace
        (space.folder / "raw").write_text(f"{self._raw}\nrest\n")
        (space.folder / "made").unlink(missing_ok=True)
        tasks = pipeline()
        tasks["make"]["inline"] = "head -n 1 raw >made; echo n=$(cat made) >>$EXP_OUTPUT"
        tasks["use"]["inline"] = "cat made; echo ${{ tasks.make.outputs.n }}" + self._text
        keys = {"make": ("make", self._raw), "use": ("use", self._raw, self._text)}
        wanted = {name: (S, Reason.CACHED if key in self._kept else None) for name, key in keys.items()}
        if is_resumed and self.run is not None:
            self.run.resume(below=["make"])
            wanted = dict.fromkeys(wanted, (S, None))
        else:
            document = load.read(space.spec(tasks))
            plans, _ = preview.plans(document, space.home)
            reused = {task["id"]: task["reuse"]["decision"] for task in plans["tasks"]}
            self.run = space.start(tasks)
            first, second = (reason is not None for _, reason in wanted.values())
            later = "later" if not first else "reuse" if second else "run"
            assert reused == {"make": "reuse" if first else "run", "use": later}
        assert ended(self.run) == wanted
        assert (space.folder / "made").read_text() == f"{self._raw}\n"
        assert self.run.status().history.tasks["make"].outputs == {"n": self._raw}
        self._kept |= set(keys.values())


@pytest.mark.parametrize("seed", range(amount(1, long=8)))
def test_any_changes_give_the_results_of_a_model(workspace: ExpWorkspace, seed: int) -> None:
    """A task runs exactly if what it depends on was never so before, as a dry run finds; a resume runs it."""
    random, model = Random(seed), PipelineModel(workspace)  # noqa: S311 - the same changes each time
    for number in range(amount(2, long=12)):
        change = random.choice([model.change_input, model.change_text])
        change(random)
        model.step(is_resumed=number > 0 and random.random() < 0.2)


def test_killed_while_one_of_two_runs(workspace: ExpWorkspace) -> None:
    """The next supervisor keeps its result; the other is cancelled before that; a third has the result."""
    task = {
        "inline": f"echo $EXP_ID >>ran; echo loss=0.5; {until('go')}",
        "metrics": {"train": r"loss=(?P<loss>\S+)"},
        "cache": True,
    }
    killed, cancelled = (workspace.start({"t": task}, name=name) for name in ("a", "b"))
    eventually(lambda: len(workspace.lines()) == 2)
    with store_held(workspace):
        kill_supervisor(killed)
        killed.resume()
        workspace.touch("go")
        eventually(lambda: status(cancelled, "t") == "SUCCEEDED")
        cancelled.cancel()
        assert cancelled.wait(timeout=60).status is ExperimentStatus.CANCELLED
    assert kept(cancelled) == {"t": "the experiment was cancelled before it was copied"}
    assert ended(killed) == {"t": (S, None)}
    assert kept(killed) == {"t": None}
    if not IS_LONG:
        return
    third = workspace.start({"t": task}, name="c")
    assert ended(third) == {"t": (S, Reason.CACHED)}
    assert third.status().history.tasks["t"].cached_from["experiment"] == killed.id
    tracked = record(workspace.home.dash, f"{third.status().to_json()['prefix']}/t")
    assert tracked is not None
    assert (str(tracked.status), tracked.reason) == ("COMPLETED", "cached")
    assert [row["loss"] for row in tracked.data().metrics("train").read()] == [0.5]


if IS_LONG:

    def test_only_what_has_changed_runs(workspace: ExpWorkspace) -> None:
        """A changed input runs its task; with the earlier content, it has its earlier result again."""
        (workspace.folder / "raw").write_text("data\n")
        tasks = pipeline()
        tasks["make"]["inline"] = "echo make >>ran; head -n 1 raw >made; echo n=7 >>$EXP_OUTPUT"
        tasks["use"]["cache"]["inputs"] = ["made"]
        assert ended(workspace.start(tasks)) == RAN
        (workspace.folder / "raw").write_text("data\nmore\n")
        assert ended(workspace.start(tasks))["make"] == (S, None)
        (workspace.folder / "raw").write_text("data\n")
        assert ended(workspace.start(tasks)) == CACHED
        tasks["use"]["inline"] += "; exit 0"
        assert ended(workspace.start(tasks)) == {**CACHED, "use": (S, None)}

    def test_what_a_hit_tracked_is_read_like_that_of_a_run(workspace: ExpWorkspace) -> None:
        """Metrics, params and patterns of the output are those of the run; the record is COMPLETED."""
        tasks = {
            "t": {
                "inline": "echo ran >>ran; echo loss=0.5",
                "matrix": {"lr": [0.1]},
                "metrics": {"train": r"loss=(?P<loss>\S+)"},
                "cache": True,
            }
        }
        first = workspace.start(tasks)
        assert ended(first) == {"t/lr=0.1": (S, None)}
        second = workspace.start(tasks)
        assert ended(second) == {"t/lr=0.1": (S, Reason.CACHED)}
        shown = [workspace.exp("metrics", run.id, "--json").json for run in (first, second)]
        first_rows, second_rows = (each["series"][0]["rows"] for each in shown)
        assert first_rows == second_rows
        assert workspace.exp.task("t/lr=0.1")["unmatched_metrics"] == []
        prefix = f"{second.status().to_json()['prefix']}/t/lr=0.1"
        tracked = record(workspace.home.dash, prefix)
        assert tracked is not None
        assert (str(tracked.status), tracked.reason) == ("COMPLETED", "cached")
        assert tracked.data().params.get() == {"lr": 0.1}
        assert tracked.openings[0].facts["cached_from"]["experiment"] == first.id

    def test_two_that_do_the_same_at_once_both_run(workspace: ExpWorkspace) -> None:
        """The first success is kept, and the third run has it."""
        tasks = {"t": {"inline": f"echo $EXP_ID >>ran; {until('go')}", "cache": True}}
        runs = [workspace.start(tasks, name=name) for name in ("a", "b")]
        eventually(lambda: len(workspace.lines()) == len(runs))
        workspace.touch("go")
        assert [ended(run) for run in runs] == [{"t": (S, None)}] * 2
        assert [kept(run) for run in runs] == [{"t": None}] * 2
        third = workspace.start(tasks, name="c")
        assert ended(third) == {"t": (S, Reason.CACHED)}
        assert third.status().history.tasks["t"].cached_from["experiment"] in {run.id for run in runs}

    def test_a_resume_that_names_a_task_runs_it(workspace: ExpWorkspace) -> None:
        """What had succeeded and is run again is not given its own earlier result."""
        tasks = {"t": {"inline": "echo ran >>ran", "cache": True}}
        run = workspace.start(tasks)
        assert ended(run) == {"t": (S, None)}
        workspace.exp("resume", run.id, "--from", "t")
        assert ended(run) == {"t": (S, None)}
        assert workspace.lines() == ["ran", "ran"]

    def test_killed_while_the_task_runs(workspace: ExpWorkspace) -> None:
        """The supervisor that sees its end keeps the result, with the fingerprint that the ledger has."""
        tasks = {"t": {"inline": f"touch up; {until('go')}", "cache": True}}
        run = workspace.start(tasks)
        eventually((workspace.folder / "up").exists)
        kill_supervisor(run)
        run.resume()
        workspace.touch("go")
        assert ended(run) == {"t": (S, None)}
        assert kept(run) == {"t": None}
        assert ended(workspace.start(tasks)) == {"t": (S, Reason.CACHED)}

    def test_cancelled_while_a_result_is_kept(workspace: ExpWorkspace) -> None:
        """The experiment ends without waiting for the copy, and the ledger has the reason."""
        (workspace.folder / "raw").write_text("data\n")
        with store_held(workspace):
            run = workspace.start(pipeline())
            eventually(lambda: status(run, "make") == "SUCCEEDED")
            run.cancel()
            assert run.wait(timeout=60).status is ExperimentStatus.CANCELLED
        assert kept(run) == {"make": "the experiment was cancelled before it was copied"}
        assert ended(workspace.start(pipeline())) == RAN
