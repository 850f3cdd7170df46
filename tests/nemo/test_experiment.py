"""`Experiment`: what it builds, and how it is run, looked at, reset and found again."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli import parts
from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.executors import run_partial
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ENDS, TaskStatus
from nemorun_cli.nemo import (
    Experiment,
    LocalExecutor,
    Partial,
    Plugin,
    Script,
    SlurmExecutor,
    one_task,
    reserved_ids,
    statuses,
)
from nemorun_cli.nemo.executors import DockerExecutor
from nemorun_cli.nemo.packagers import Packager
from nemorun_cli.spec import python_specs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.workspace import Exp, ExpWorkspace

TRUE = Script(inline="true")
FALSE = Script(inline="exit 3")


def helper(a: int = 1) -> int:
    """A function that tasks could import."""
    return a


@dataclass(kw_only=True)
class Seed(Plugin):
    """Sets a seed in the task and in its executor."""

    def setup(self, task: Any, executor: Any) -> None:
        """Change both."""
        task.a = 7
        executor.env_vars["ID"] = self.experiment_id


@pytest.fixture(autouse=True)
def _next_to_the_program() -> Iterator[None]:
    """The working folder is that of the program, so that tasks need no other one."""
    with contextlib.chdir(Path(__file__).parent):
        yield


# --- what is built


def test_what_is_added_is_a_spec() -> None:
    """Tasks and executors are translated; what an executor implies for its tasks is a key of these."""
    exp = Experiment("My study", executor=LocalExecutor(retries=2), params={"lr": 1})
    first = exp.add(Partial(helper, 3), name="first")
    exp.add(
        [TRUE, Script("a.sh", args=[1])],
        [LocalExecutor(), DockerExecutor(container_image="i", packager=Packager(), network="n")],
        "both",
        None,
        True,
        [first],
        timeout="1m",
        cache={"inputs": ["data"]},
    )

    assert exp.spec == {
        "title": "My study",
        "params": {"lr": 1},
        "executors": {"docker": {"type": "docker", "image": "i", "network": "n"}},
        "tasks": {
            "first": {
                "partial": f"{__name__}:helper",
                "args": {"a": 3},
                "executor": "local",
                "retry": {"limit": 2},
            },
            "both": {
                "group": [
                    {"inline": "true", "entrypoint": "bash"},
                    {"script": "a.sh", "args": [1], "entrypoint": "bash"},
                ],
                "executor": ["local", "docker"],
                "timeout": "1m",
                "cache": {"inputs": ["data"]},
                "dependencies": ["first"],
                "tail_logs": True,
            },
        },
    }


def test_a_group_on_slurm_is_one_job_with_the_dependency_type_of_its_executor() -> None:
    """What NeMo-Run does in one job runs together; a dependency type is of the group, not of its members."""
    exp = Experiment(
        "s", executor=SlurmExecutor(account="a", dependency_type="afterany", packager=Packager())
    )
    first = exp.add(TRUE, name="first")
    exp.add([TRUE, TRUE], name="both", dependencies=[first])
    group = exp.spec["tasks"]["both"]
    assert (group["together"], group["dependency_type"]) == (True, "afterany")
    assert not any({"together", "dependency_type"} & member.keys() for member in group["group"])


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["train", "train", "train"], ["train", "train_1", "train_2"]),
        (["a", "b", "a", "a_3", "a"], ["a", "b", "a_2", "a_3", "a_4"]),
        (["a_1", "a", "a"], ["a_1", "a", "a_2"]),
        (["lr=0.1, fast", "123", "latest", "_x", "/"], ["lr_0.1_fast", "x-123", "x-latest", "x", "task"]),
        ([""], ["true"]),
        (["x" * 99], ["x" * 60]),
    ],
)
def test_ids_of_tasks(names: list[str], ids: list[str]) -> None:
    """A second task of a name gets the number of tasks, as in NeMo-Run; an id has no other characters."""
    exp = Experiment("names")
    assert [exp.add(TRUE, name=name) for name in names] == ids
    assert exp.add(TRUE, name="last", dependencies=[names[0] or "true"]) == "last"
    assert exp.spec["tasks"]["last"]["dependencies"] == ids[:1]


def test_a_task_is_found_by_the_name_that_was_given(
    workspace: ExpWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also if its id has other characters; a member is found by its id."""
    del workspace
    exp = Experiment("given", clean_mode=True)
    exp.add([Script(inline="echo 0"), Script(inline="echo 1")], name="lr=0.1/all")
    exp.add(TRUE, name="next", dependencies=["lr=0.1/all/1"])
    exp.run()
    exp.logs("lr=0.1/all")
    exp.logs("lr_0.1_all/1")
    assert capsys.readouterr().out.splitlines() == ["lr_0.1_all/0 | 0", "lr_0.1_all/1 | 1", "1"]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (([TRUE],), "a list of tasks needs a name", "add("),
        ((TRUE, None, "a", None, False, ["fir"]), "depends on 'fir', which was not added", "first"),
        ((helper,), "is not a task", "run.Partial"),
        ((parts.Command("true"),), "is not a task", "run.Script"),
        ((TRUE, "local"), "'local' is not an executor", "run.LocalExecutor()"),
        ((TRUE, LocalExecutor), "is not an executor", "run.LocalExecutor()"),
        (([TRUE, TRUE], [LocalExecutor()] * 3, "g"), "a group of 2 tasks has 3 executors", "one for each"),
        (([], None, "g"), "a group of 0 tasks", "one"),
        ((TRUE, None, "a", [object()]), "is not a plugin", "setup(self, task, executor)"),
        ((TRUE, None, "a", [Seed]), "is not a plugin", "an instance"),
        ((Partial(helper, a=object()), None, "a"), "tasks.a.args.a: a task cannot get a value of", "Config"),
        (([TRUE, Partial(helper, a=object())], None, "a"), "tasks.a.group.1.args.a", "Config"),
    ],
)
def test_what_cannot_be_added_is_refused_when_it_is_added(
    arguments: tuple[Any, ...], message: str, hint: str
) -> None:
    """The error is raised in the line that adds it, and names the remedy."""
    exp = Experiment("refused")
    exp.add(TRUE, name="first")
    with pytest.raises(UsageError) as caught:
        exp.add(*arguments)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert [job.id for job in exp.jobs] == ["first"]


def test_jobs_can_be_changed_until_they_run() -> None:
    """The tasks and executors of an experiment are copies, and what is changed in them counts."""
    executor, task = LocalExecutor(), Partial(helper, a=1)
    exp = Experiment("changed", executor=executor)
    exp.add(task, name="one")
    exp.add([task, TRUE], name="two")
    task.a, executor.env_vars["A"] = 100, "b"
    exp.tasks[0].a = 2
    exp.tasks[1][0].a = 3
    exp.jobs[1].executors[1].retries = 4
    exp.jobs[1].dependencies.append("one")

    tasks = exp.spec["tasks"]

    assert tasks["one"]["args"] == {"a": 2}
    assert tasks["two"]["dependencies"] == ["one"]
    assert [member.get("args") for member in tasks["two"]["group"]] == [{"a": 3}, None]
    assert [member.get("retry") for member in tasks["two"]["group"]] == [None, {"limit": 4}]


def test_plugins_change_copies_and_own_ones_change_the_spec(workspace: ExpWorkspace) -> None:
    """`setup` gets copies of each task and its executor, and knows the id; other plugins are passed on."""
    own = {"uses": "env", "with": {"A": "b"}}
    exp, task = Experiment("plugins"), Partial(helper)
    exp.add(task, name="one", plugins=Seed())
    exp.add([task, task], name="two", plugins=[Seed(), own])

    spec = exp.spec

    assert spec["tasks"]["one"]["args"] == {"a": 7}
    assert [member["args"] for member in spec["tasks"]["two"]["group"]] == [{"a": 7}] * 2
    assert spec["executors"]["local-2"]["env"] == {"ID": exp.id}
    assert exp.plugins == [(own, ("two",))]
    whole = Experiment("whole", plugins=[own])
    assert (whole.spec["name"], whole.plugins) == ("whole", [(own, None)])
    assert task.a == 1
    assert not workspace.home.names()


def test_a_misspelt_argument_is_refused() -> None:
    """Keys of a spec are arguments too, but not what is nearly one of NeMo-Run's."""
    with pytest.raises(UsageError, match="has no argument 'threadpol_workers'") as caught:
        Experiment("misspelt", threadpol_workers=3)
    assert caught.value.hint == "did you mean threadpool_workers?"
    assert Experiment("keys", executors={}, tags=["a"]).spec["tags"] == ["a"]


def test_a_log_level_that_is_none_is_refused() -> None:
    """It is one of those of `logging`."""
    with pytest.raises(UsageError, match="there is no log_level 'WARM'") as caught:
        Experiment("levels", log_level="WARM")
    assert "did you mean WARN" in str(caught.value.hint)


def test_the_status_of_a_group_is_true() -> None:
    """It has succeeded only if all have, is final only if all are, and is RUNNING only if a member is."""
    for members in itertools.combinations_with_replacement(TaskStatus, 3):
        status = statuses.together(members)
        assert status in members
        assert (status is TaskStatus.SUCCEEDED) == (set(members) == {TaskStatus.SUCCEEDED})
        assert (status in ENDS) == (set(members) <= ENDS)
        assert (status is TaskStatus.RUNNING) == (TaskStatus.RUNNING in members)


# --- how it runs


def test_the_id_is_known_before_the_start(workspace: ExpWorkspace) -> None:
    """It is the one that plugins get; two experiments of a second have two."""
    first, second = Experiment("known"), Experiment("known")
    for exp in (first, second):
        exp.add(TRUE, name="t")
    ids = [second.id, first.id]
    assert len(set(ids)) == 2
    assert first.status(return_dict=True)["t"]["status"] == "UNSUBMITTED"  # type: ignore[index]

    runs = [second.run(detach=True), first.run(detach=True)]

    assert [run.id for run in runs] == ids == [second.id, first.id]
    for run in runs:
        run.wait(timeout=60)
    assert sorted(workspace.home.ids("known")) == sorted(ids)


def test_an_id_that_is_old_at_the_start_is_renewed(
    workspace: ExpWorkspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id has the time of the creation; plugins that got another one are named in a warning."""
    del workspace
    monkeypatch.setattr(reserved_ids, "KEPT", -1.0)
    exp = Experiment("renewed")
    exp.add(Partial(helper), name="t", plugins=Seed())
    early = exp.id
    exp.run(detach=True).cancel()
    assert exp.id != early
    assert f"plugins got the id {early}; the experiment starts later, as {exp.id}" in capsys.readouterr().err


def test_a_failure_within_nested_blocks_ends_the_outer_one(
    workspace: ExpWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Leaving the inner block, whose run succeeded, ends no program, and the outer failure is kept."""
    del workspace

    def program() -> None:
        with Experiment("nested", check=True, log_level="ERROR") as exp:
            exp.add(FALSE, name="t")
            exp.run()
            exp.tasks[0].inline = "echo now"
            with exp.reset() as again:
                assert again is exp
                again.run()
            exp.logs("t")
            exp.logs("t", regex="nothing")
            assert exp.status(return_dict=True)["t"]["status"] == "SUCCEEDED"  # type: ignore[index]

    with pytest.raises(SystemExit, match=r"^1$"):
        program()
    told = capsys.readouterr()
    assert told.out == "now\n"
    assert "started" not in told.err
    assert told.err.count("t: exit code 3") == 1  # why it failed is printed at every level


def test_a_clean_experiment_prints_nothing(
    workspace: ExpWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not its end either, nor its status; a second run starts nothing and warns."""
    exp = Experiment("clean", clean_mode=True, check=False, base_dir=workspace.folder / "base")
    exp.add(FALSE, name="t")
    exp.dryrun()
    run = exp.run()
    exp.status()
    assert capsys.readouterr() == ("", "")

    assert exp.run() is run
    assert "was started already" in capsys.readouterr().err
    assert run.directory.is_relative_to(workspace.folder / "base" / "experiments" / "clean")
    assert not workspace.home.names()


def test_an_experiment_is_found_again(workspace: ExpWorkspace, capsys: pytest.CaptureFixture[str]) -> None:
    """By its id, its title, or the id of the logical run; its tasks can be changed and run as a new one."""
    exp = Experiment("Found Again", id="my-run-7", executor=LocalExecutor(env_vars={"A": "b"}))
    first = exp.add(Script(inline="echo one $A"), name="one")
    exp.add([TRUE, Script(inline="echo two")], name="two", dependencies=[first], retry={"limit": 1})
    exp.run()
    ids = [exp.id]

    for again in (Experiment.from_id("my-run-7"), Experiment.from_id(exp.id)):
        assert again.id == exp.id
    again = Experiment.from_title("Found Again")
    with pytest.raises(UsageError, match="is an earlier experiment"):
        again.run()
    assert again.tasks[0].inline == "echo one $A"
    again.reset().tasks[1][1].inline = "echo three"
    again.jobs[0].executor = LocalExecutor(env_vars={"A": "c"}, retries=1)
    again.jobs[1].executors[0] = LocalExecutor(env_vars={"A": "c"})
    again.jobs[1].tail_logs = True
    added = again.add(Script(inline="echo four"), name="one", dependencies=["two"])
    again.run()
    ids.append(again.id)
    capsys.readouterr()
    for task in ("one", "two", added):
        again.logs(task)

    assert capsys.readouterr().out.splitlines() == ["one c", "two/1 | three", "four"]
    assert (
        Experiment.catalog("Found Again") == Experiment.catalog("found-again") == Experiment.catalog() == ids
    )
    assert exp.spec["tasks"]["two"]["retry"] == again.spec["tasks"]["two"]["retry"]
    tasks = again.spec["tasks"]
    assert tasks["one_2"]["dependencies"] == ["two"]
    assert (tasks["one"]["executor"], tasks["one"]["retry"]) == ("local-2-2", {"limit": 1})
    assert (tasks["two"]["executor"], tasks["two"]["tail_logs"]) == (["local-2-2", "local-2"], True)
    assert find(ids[1], home=workspace.home).status().history.created["rerun_of"] == ids[0]


def test_what_is_not_there_is_not_found(workspace: ExpWorkspace) -> None:
    """An unknown experiment or task is an error with exit code 3; what has not started has no logs."""
    del workspace
    for by in (Experiment.from_id, Experiment.from_title):
        with pytest.raises(NotFoundError):
            by("nothing")
    assert Experiment.catalog("nothing") == []
    exp = Experiment("there")
    exp.add(TRUE, name="t")
    for early in (exp.logs, exp.cancel):
        with pytest.raises(UsageError, match="has not started"):
            early("t")
    exp.run(detach=True).wait(timeout=60)
    for unknown in (exp.logs, exp.cancel):
        with pytest.raises(NotFoundError):
            unknown("u")
    with pytest.raises(UsageError, match="regex"):
        exp.logs("t", regex="(")
    with pytest.raises(UsageError, match="has no tasks"):
        Experiment("empty").run()


# --- as a program


IMPORTS = """
import nemo_run as whole
import nemo_run.run.api
from nemo_run.run.experiment import Experiment
from nemo_run import *
from nemo_run.run.plugin import ExperimentPlugin
from nemo_run.config import get_nemorun_home, set_nemorun_home
from nemo_run.core.execution.slurm import SlurmExecutor, SlurmJobDetails
from nemo_run.core.execution.launcher import Launcher, Torchrun
from nemo_run.core.tunnel.client import SSHTunnel, Tunnel
from nemo_run.run.ray.cluster import RayCluster
from nemo_run.cli import entrypoint, factory, RunContext
assert get_nemorun_home()
"""
PROGRAM = """
import nemo_run as run
from nemo_run.config import get_nemorun_home
from nemo_run.core.execution.slurm import SlurmJobDetails
from nemo_run.run.plugin import ExperimentPlugin

def train(lr):
    print("lr", lr, run.Experiment.__module__)

with run.Experiment("named", executor=run.LocalExecutor()) as exp:
    exp.add(run.Partial(train, lr=0.5), name="t")
    exp.run(tail_logs=True)
    raise AssertionError("a command reads no more of a program than what it builds")
"""


def test_exp_offers_the_name_of_nemo_run(exp: Exp) -> None:
    """`exp run` and `validate` run a program that imports `nemo_run`, and so do its tasks."""
    path = exp.spec(PROGRAM, name="named.py")
    assert exp("run", path).stdout == "t | lr 0.5 nemorun_cli.nemo.experiment\n"
    assert exp.status()["status"] == "COMPLETED"
    assert "1 task(s), no problems" in exp("validate", path).stdout


def test_the_name_never_hides_nemo_run_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is installed it is imported, and what it lacks is not there either."""
    for folder, value in (("", "1"), ("core", "2")):
        (tmp_path / "nemo_run" / folder).mkdir(exist_ok=True)
        (tmp_path / "nemo_run" / folder / "__init__.py").write_text(f"value = {value}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with python_specs.building():
        import nemo_run  # noqa: PLC0415
        import nemo_run.core  # noqa: PLC0415

        assert (nemo_run.value, nemo_run.core.value) == (1, 2)
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("nemo_run.config")
    for name in ("nemo_run", "nemo_run.core"):
        del sys.modules[name]


def test_the_name_has_the_names_of_nemo_run() -> None:
    """Its modules offer what programs import from them; what is not there is an ImportError."""
    with python_specs.building():
        program: dict[str, Any] = {}
        exec(IMPORTS, program)  # noqa: S102 - a program
        assert program["whole"].run is program["run"] is one_task.run
        assert program["Experiment"] is program["whole"].Experiment is Experiment
        assert program["Plugin"] is program["ExperimentPlugin"]
        with pytest.raises(ImportError, match=r"cannot import name 'Nothing' from 'nemo_run\.config'"):
            exec("from nemo_run.config import Nothing", {})  # noqa: S102 - a program
        with pytest.raises(ModuleNotFoundError, match=r"nemo_run\.nothing"):
            importlib.import_module("nemo_run.nothing")
    assert "nemo_run" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nemo_run")


def test_a_program_with_another_home_is_not_run_elsewhere(exp: Exp) -> None:
    """`exp` has its own home: the program's is refused with what to write."""
    text = """
import nemorun_cli.nemo as run
exp = run.Experiment("elsewhere", base_dir="other")
exp.add(run.Script(inline="true"))
exp.run()
"""
    refused = exp("run", exp.spec(text, name="elsewhere.py"), code=2).stderr
    assert "elsewhere.py:5: exp does not use base_dir=" in refused
    assert f"hint: NEMORUN_HOME={exp.folder}/other" in refused


MODULES = {
    "above": "def task(): return 1\nexp.run()\nraise AssertionError('the import has ended')\n",
    "below": "exp.run()\ndef task(): return 1\n",
    "one": "def task(): return 1\nrun.run(run.Partial(task))\n",
    "dry": "def task(): return 1\nexp.dryrun()\n",
    "other": "import above\ndef task(): return 1\n",
}


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("above", 1),
        ("below", "there is no 'task' in {}/below.py above its run(): put that under if __name__"),
        ("one", 1),
        ("dry", 1),
        ("other", "the import of {}/above.py ended where it would start the experiment again"),
    ],
)
def test_a_task_imports_a_program_up_to_its_run(
    name: str, result: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a main guard nothing starts again; what is defined below the run is reported."""
    for module, text in MODULES.items():
        head = (
            "import nemorun_cli.nemo as run\nexp = run.Experiment('e')\nexp.add(run.Script(inline='true'))\n"
        )
        (tmp_path / f"{module}.py").write_text(f"{head}{text}")
    monkeypatch.setenv("EXP_TASK", "t")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        if isinstance(result, int):
            assert run_partial.call(f"{name}:task", {}) == result
        else:
            with pytest.raises(run_partial.TargetError) as caught:
                run_partial.call(f"{name}:task", {})
            assert result.format(tmp_path) in str(caught.value)
    finally:
        for module in MODULES:
            sys.modules.pop(module, None)
