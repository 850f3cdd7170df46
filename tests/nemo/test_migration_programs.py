"""The migration page's table about programs: each row is tried."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.documents import ROOT

from nemorun_cli import nemo as run
from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.experiment.run import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.workspace import ExpWorkspace

PAGE: Final = ROOT / "docs" / "coming-from" / "nemo-run.md"
CHECKS: dict[str, Callable[[Tried], None]] = {}


def row(first: str) -> Callable[[Callable[[Tried], None]], Callable[[Tried], None]]:
    """What tries the row with this first cell."""

    def note(check: Callable[[Tried], None]) -> Callable[[Tried], None]:
        CHECKS[first] = check
        return check

    return note


def rows() -> list[str]:
    """The first cells of the table."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## NeMo-Run programs\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.strip("|").partition(" | ")[0].strip() for line in lines[1:]]


def double(a: int, b: int = 2) -> int:
    """Twice a number."""
    sys.stdout.write(f"called {a * b}\n")
    return a * b


class Tried:
    """A workspace, and an experiment that ran in it: task `one`, and a group `both` that depends on it."""

    def __init__(self, workspace: ExpWorkspace, capsys: pytest.CaptureFixture[str]) -> None:
        self.workspace = workspace
        self._capsys = capsys
        self.exp = run.Experiment("My Experiment", id="my-run-7", check=False, params={"x": 1})
        first = self.exp.add(run.Script(inline="echo loss 1; echo other"), None, "one", None, False, None)
        self.exp.add([TRUE, TRUE], name="both", dependencies=[first], timeout="1m")
        self.run = self.exp.run(False, False, False, False)
        self.started = self.told()

    def told(self) -> tuple[str, str]:
        """What was printed since."""
        return tuple(self._capsys.readouterr())  # type: ignore[return-value]


TRUE: Final = run.Script(inline="true")
FALSE: Final = run.Script(inline="exit 3")


@pytest.fixture
def tried(workspace: ExpWorkspace, capsys: pytest.CaptureFixture[str]) -> Iterator[Tried]:
    """An experiment that ran."""
    with contextlib.chdir(Path(__file__).parent):
        yield Tried(workspace, capsys)


def test_each_row_is_tried(tried: Tried) -> None:
    """The table has exactly these rows, and each of them is true."""
    assert rows() == list(CHECKS)
    for check in CHECKS.values():
        check(tried)
        tried.told()


@row('`run.Experiment("My Experiment")`')
def _(tried: Tried) -> None:
    assert tried.run.id.startswith("my-experiment_")
    assert find("My Experiment", home=tried.workspace.home) == find(
        "my-experiment", home=tried.workspace.home
    )


@row("`Experiment(…, executor=…)`, `exp.executor`")
def _(tried: Tried) -> None:
    assert tried.exp.executor == run.LocalExecutor()
    executor = run.LocalExecutor(env_vars={"A": "b"})
    exp = run.Experiment("e", executor=executor)
    exp.add(TRUE, name="t")
    executor.env_vars.clear()
    assert exp.jobs[0].executor.env_vars == {"A": "b"}


@row('`Experiment(…, id="my-run-7")`')
def _(tried: Tried) -> None:
    assert run.Experiment.from_id("my-run-7").id == tried.exp.id == tried.run.id
    assert tried.run.status().to_json()["key"] == "my-run-7"


@row('`Experiment(…, log_level="WARN")`')
def _(tried: Tried) -> None:
    exp = run.Experiment("e", log_level="WARN", check=False)
    exp.add(FALSE, name="fails")
    exp.add(run.Script(inline="echo shown"), name="shown", tail_logs=True)
    exp.run()
    out, err = tried.told()
    assert out == ""
    assert "started" not in err
    assert "fails: exit code 3" in err
    assert "shown | shown" in err


@row("`Experiment(…, clean_mode=True)`")
def _(tried: Tried) -> None:
    exp = run.Experiment("e", clean_mode=True, check=False)
    exp.add(FALSE, name="fails")
    exp.run()
    exp.status()
    assert tried.told() == ("", "")


@row('`Experiment(…, base_dir="other")`')
def _(tried: Tried) -> None:
    other = tried.workspace.folder / "other"
    exp = run.Experiment("e", base_dir=other)
    exp.add(TRUE, name="t")
    assert exp.run().directory.is_relative_to(other)  # and test_a_program_with_another_home_…


@row(
    "`enable_goodbye_message`, `threadpool_workers`, `skip_status_at_exit`, `serialize_metadata_for_scripts`"
)
def _(tried: Tried) -> None:
    del tried
    one = run.Experiment(
        "e",
        enable_goodbye_message=False,
        threadpool_workers=1,
        skip_status_at_exit=True,
        serialize_metadata_for_scripts=False,
    )
    assert one.spec == run.Experiment("e").spec


@row("")
def _(tried: Tried) -> None:
    assert tried.run.spec().params == {"x": 1}
    exp = run.Experiment("e", check=True)
    exp.add(FALSE, name="fails")
    with pytest.raises(SystemExit):
        exp.run()
    exp.reset().run(check=False)


@row("`exp.add(task, executor, name, plugins, tail_logs, dependencies)`")
def _(tried: Tried) -> None:
    assert tried.exp.spec["tasks"]["both"]["timeout"] == "1m"
    assert tried.exp.spec["tasks"]["both"]["dependencies"] == ["one"]


@row('`exp.add([one, two], executor=…, name="both")`')
def _(tried: Tried) -> None:
    assert list(tried.run.status().history.tasks) == ["one", "both/0", "both/1"]
    exp = run.Experiment("e", executor=run.SlurmExecutor(account="a", packager=run.Packager()))
    exp.add([TRUE, TRUE], name="both")
    exp.add([TRUE, TRUE], executor=[run.LocalExecutor(), run.LocalExecutor(retries=1)], name="each")
    tasks = exp.spec["tasks"]
    assert tasks["both"]["together"] is True
    assert tasks["each"]["group"][1]["retry"] == {"limit": 1}


@row("`exp.add(task)`")
def _(tried: Tried) -> None:
    del tried
    exp = run.Experiment("e")
    added = [run.Partial(double, a=1), run.Script("scripts/a.sh"), run.Script(inline="echo $HOME; ls")]
    assert [exp.add(task) for task in added] == [f"{__name__}.double", "a.sh", "echo_HOME"]


@row("a second task of a name")
def _(tried: Tried) -> None:
    del tried
    exp = run.Experiment("e")
    assert [exp.add(TRUE, name="train") for _ in range(3)] == ["train", "train_1", "train_2"]


@row('`dependencies=["nobody"]`')
def _(tried: Tried) -> None:
    with pytest.raises(UsageError, match="depends on 'nobody', which was not added"):
        tried.exp.add(TRUE, dependencies=["nobody"])


@row("`exp.run(sequential, detach, tail_logs, direct)`")
def _(tried: Tried) -> None:
    assert tried.run.status().is_over
    assert tried.exp.run() is tried.run
    exp = run.Experiment("e")
    exp.add(run.Script(inline="sleep 60"), name="t")
    detached = exp.run(detach=True)
    assert not detached.status().is_over
    detached.cancel()


@row("`exp.dryrun(log, exist_ok, delete_exp_dir)`")
def _(tried: Tried) -> None:
    ids = run.Experiment.catalog()
    exp = run.Experiment("e")
    exp.add(TRUE, name="t")
    assert exp.dryrun(False, True, False)["tasks"][0]["id"] == "t"
    assert tried.told()[0] == ""
    exp.dryrun()
    assert "nothing is created" in tried.told()[0]
    assert run.Experiment.catalog() == ids


@row("`exp.status()`, `exp.status(return_dict=True)`")
def _(tried: Tried) -> None:
    tried.exp.status()
    assert tried.told()[0].splitlines()[:4] == [
        f"Experiment Status for {tried.exp.id}",
        "",
        "Task 0: one",
        "- Status: SUCCEEDED",
    ]
    status: Any = tried.exp.status(return_dict=True)
    assert list(status) == ["one", "both"]
    assert {"name", "status", "executor", "job_id", "handle", "local_dir"} <= status["both"].keys()
    assert status["both"]["members"] == {"both/0": "SUCCEEDED", "both/1": "SUCCEEDED"}


@row('`exp.cancel("task")`')
def _(tried: Tried) -> None:
    exp = run.Experiment("e")
    exp.add(run.Script(inline="sleep 60"), name="t")
    exp.run(detach=True)
    exp.cancel("t")
    assert exp.status(return_dict=True)["t"]["status"] == "CANCELLED"  # type: ignore[index]
    with pytest.raises(NotFoundError):
        tried.exp.cancel("unknown")


@row('`exp.logs("task", regex="loss")`')
def _(tried: Tried) -> None:
    tried.exp.logs("one", regex="loss")
    assert tried.told() == ("loss 1\n", "")
    with pytest.raises(NotFoundError):
        tried.exp.logs("unknown")


@row("`exp.reset()`")
def _(tried: Tried) -> None:
    old = run.Experiment.from_id(tried.exp.id)
    with old.reset() as again:
        again.run()
    assert again.id != tried.exp.id
    assert again.spec["tasks"]["both"]["dependencies"] == ["one"]


@row("`exp.tasks`, `exp.jobs`")
def _(tried: Tried) -> None:
    exp = run.Experiment("e")
    exp.add(TRUE, name="t")
    exp.tasks[0].inline = "echo changed"
    exp.jobs[0].executor.retries = 2
    assert exp.spec["tasks"]["t"]["inline"] == "echo changed"
    assert exp.spec["tasks"]["t"]["retry"] == {"limit": 2}
    assert [job.id for job in run.Experiment.from_id(tried.exp.id).jobs] == ["one", "both"]


@row("`Experiment.from_id(id)`, `Experiment.from_title(title)`, `Experiment.catalog(title)`")
def _(tried: Tried) -> None:
    ids = run.Experiment.catalog("My Experiment")
    assert ids[0] == tried.exp.id == run.Experiment.from_id(ids[0]).id
    assert run.Experiment.from_title("My Experiment").id == ids[-1]
    assert set(ids) < set(run.Experiment.catalog())


@row("`run.run(task)`")
def _(tried: Tried) -> None:
    ids = run.Experiment.catalog()
    assert run.run(run.Partial(double, a=4)) is None
    assert tried.told()[0] == "called 8\n"
    assert run.Experiment.catalog() == ids
    assert run.run(TRUE, name="script").status().exit_code == 0  # type: ignore[union-attr]


@row("`run.run(task, executor=…, plugins=, name=, dryrun=, direct=, detach=, tail_logs=)`")
def _(tried: Tried) -> None:
    del tried
    done = run.run(TRUE, executor=run.LocalExecutor(), name="single", tail_logs=False)
    assert [task.id for task in done.spec().tasks] == [done.spec().name] == ["single"]  # type: ignore[union-attr]
    assert run.run(TRUE, executor=run.LocalExecutor(), dryrun=True) is None


@row("`Plugin.setup(task, executor)`")
def _(tried: Tried) -> None:
    del tried

    class Change(run.Plugin):
        """Changes both."""

        def setup(self, task: Any, executor: Any) -> None:
            """Change both."""
            task.a, executor.retries = 9, 1

    exp, task = run.Experiment("e"), run.Partial(double, a=1)
    exp.add(task, name="t", plugins=[Change()])
    assert (exp.tasks[0].a, exp.jobs[0].executor.retries, task.a) == (9, 1, 1)


@row("`run.help(function)`")
def _(tried: Tried) -> None:
    run.help(double)
    assert tried.told()[0].splitlines()[1:] == ["  a: 'int'", "  b: 'int' = 2", "", "Twice a number."]


@row("`with run.lazy_imports():`")
def _(tried: Tried) -> None:
    del tried
    with run.lazy_imports():
        import colorsys  # noqa: PLC0415 - what the row is about
    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)


@row('`run.LazyEntrypoint("module.function")`')
def _(tried: Tried) -> None:
    del tried
    with pytest.raises(UsageError, match="has no counterpart"):
        run.LazyEntrypoint("module.function")
