from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.workspace import events, is_running

from nemorun_cli import (
    Builder,
    Command,
    Config,
    DockerExecutor,
    Executor,
    LocalExecutor,
    Partial,
    Script,
    SlurmExecutor,
    run,
)
from nemorun_cli.errors import SpecError, UsageError
from nemorun_cli.experiment.run import find
from nemorun_cli.model.step_cache import CacheRule
from nemorun_cli.spec import load, python_specs
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp, ExpWorkspace


def helper(a: int) -> int:
    """A function that tasks could import."""
    return a


class Model:
    """A class that a task could build."""

    def __init__(self, hidden: Any) -> None:
        self.hidden = hidden


def built(**keys: Any) -> Builder:
    return Builder("study", **keys)


def test_what_is_added_is_a_spec() -> None:
    """Each kind of task becomes the entry that a YAML file would hold; what is not said is not there."""
    exp = built(params={"lr": 1}, tags=["a"])
    exp.add(Script("prepare.sh", args=["x", 1], env={"A": 1}, entrypoint="sh"), name="prepare")
    exp.add(Script(inline="echo"), name="inline", timeout="1m", retry={"limit": 2})
    exp.add(Command(["echo", "a b"]), dependencies=["prepare", "inline"], tail_logs=False)
    exp.add(Partial(helper, a=Config(Model, hidden=[1, {"x": Config("m:f")}])), when="${{ params.lr > 0 }}")

    assert exp.spec == {
        "name": "study",
        "params": {"lr": 1},
        "tags": ["a"],
        "tasks": {
            "prepare": {"script": "prepare.sh", "args": ["x", 1], "env": {"A": 1}, "entrypoint": "sh"},
            "inline": {"inline": "echo", "timeout": "1m", "retry": {"limit": 2}},
            "echo": {"command": ["echo", "a b"], "dependencies": ["prepare", "inline"], "tail_logs": False},
            "helper": {
                "partial": f"{__name__}:helper",
                "args": {"a": {"_target_": f"{__name__}:Model", "hidden": [1, {"x": {"_target_": "m:f"}}]}},
                "when": "${{ params.lr > 0 }}",
            },
        },
    }


def test_a_task_can_have_a_search() -> None:
    """Keys of a task without an argument of their own are those of the spec, such as `search`."""
    study = Builder("study")
    space = {"lr": {"type": "float", "low": 0.001, "high": 0.1}, "optimizer": ("sgd", "adam")}
    study.add(
        Partial(helper, a="${{ search.lr }}"),
        name="train",
        search={"params": space, "metric": "loss", "goal": "minimize", "trials": 3},
    )
    study.add(Command(["echo", "${{ tasks.train.best.params.lr }}"]), name="report", dependencies=["train"])
    (group,) = load.validate(study.spec).groups
    assert group.search is not None
    assert [param.name for param in group.search.params] == ["lr", "optimizer"]
    assert len(group.members) == group.search.trials


def test_a_task_can_have_a_cache() -> None:
    """An argument of its own has it, as a value or as what is declared; `False` leaves a default out."""
    exp = Builder("reuse", defaults={"cache": True})
    exp.add(Script(inline="a"), name="a", cache={"outputs": ["m.pt"], "also": (1, {"x": 2})})
    exp.add(Script(inline="b"), name="b", cache=False)
    exp.add(Script(inline="c"), name="c")
    rules = {task.id: task.cache for task in load.validate(exp.spec).tasks}
    assert rules["a"] == CacheRule(outputs=("m.pt",), also=(1, {"x": 2}))
    assert (rules["b"], rules["c"]) == (None, CacheRule())


def test_names_are_made_and_never_shared() -> None:
    """A task is called after what it runs; a taken name gets a number, so that a loop may add tasks."""
    exp = built()

    names = [exp.add(Command("/usr/bin/env A=b")), exp.add(Command("env")), exp.add(Script("a dir/x y.sh"))]
    names += [exp.add(Script(inline="a")), exp.add(Script(inline="b")), exp.add(Partial("pkg.mod:Net.fit"))]

    assert names == ["env", "env-2", "x_y.sh", "script", "script-2", "Net.fit"]
    assert [exp.add(Command("true"), name="env") for _ in range(2)] == ["env_6", "env_7"]
    assert _twice("train") == ["train", "train_1"]
    with pytest.raises(UsageError, match="needs a name"):
        exp.add([Command("true")])


def test_executors_are_named_once() -> None:
    """Equal executors are one; others of a type get numbers; names of described ones are left alone."""
    exp = built(executor=DockerExecutor(image="a"))
    exp.add(Command("one"), executor=DockerExecutor(image="a"))
    exp.add(Command("two"), executor=DockerExecutor(image="b"))
    exp.add(Command("three"), executor=LocalExecutor())
    exp.add(Command("four"), executor=LocalExecutor(env={"A": "b"}))
    exp.add(Command("five"), executor=SlurmExecutor(name="cluster", partition="p"))
    exp.add([Command("a"), Command("b")], executor=["described", Executor("nice", level=3)], name="six")

    spec = exp.spec

    assert spec["executor"] == "docker"
    assert [task.get("executor") for task in spec["tasks"].values()] == [
        "docker",
        "docker-2",
        "local",
        "local-2",
        "cluster",
        ["described", "nice"],
    ]
    assert spec["executors"] == {
        "docker": {"type": "docker", "image": "a"},
        "docker-2": {"type": "docker", "image": "b"},
        "local-2": {"type": "local", "env": {"A": "b"}},
        "cluster": {"type": "slurm", "partition": "p"},
        "nice": {"type": "nice", "level": 3},
    }


def test_values_are_frozen() -> None:
    """Nothing of what was given to a task or an executor changes afterwards."""
    values: list[Any] = [Script("a"), Command("a"), Partial("m:f"), Config("m:f"), LocalExecutor()]
    for value in values:
        with pytest.raises((AttributeError, TypeError)):
            value.name = "other"


def test_what_no_task_can_import_is_refused() -> None:
    """A lambda and a function within another one have no name that leads to them."""
    with pytest.raises(UsageError, match="a task cannot import"):
        Partial(lambda: None)
    with pytest.raises(UsageError, match="either a path or an inline text"):
        built().add(Script())


def test_problems_are_told_all_at_once(workspace: ExpWorkspace) -> None:
    """What is wrong with what was built is told before anything starts, by its place."""
    exp = built(executor=LocalExecutor(imag="x"))
    exp.add(Command("true"), name="first")
    exp.add(Command("true"), dependencies=["first/x=1"], timout=3)

    with pytest.raises(UsageError, match="nobody") as refused:
        exp.add(Command("true"), name="second", dependencies=["first", "nobody"])
    assert refused.value.hint == "there are: first, true"
    with pytest.raises(UsageError) as misspelt:
        exp.add(Command("true"), name="second", dependencies=["fist"])
    assert "did you mean first?" in str(misspelt.value.hint)

    with pytest.raises(SpecError) as caught:
        exp.run()

    assert {problem.path for problem in caught.value.problems} == {
        "executors.local-2.imag",
        "tasks.true.timout",
        "tasks.true.dependencies.0",
    }
    assert not workspace.home.names()


def test_a_detached_run_gives_a_handle(workspace: ExpWorkspace) -> None:
    """`run(detach=True)` gives the experiment at once; a task's plugins hold for that task."""
    exp = built()
    exp.add(Command(["sh", "-c", "exit $CODE"]), name="one", plugins=[Loud("1")])
    exp.add(Command(["sh", "-c", "exit ${CODE:-0}"]), name="two")

    run = exp.run(detach=True)
    snapshot = run.wait(timeout=60)

    states = {name: (state.status, state.exit_code) for name, state in snapshot.history.tasks.items()}
    assert states == {"one": ("FAILED", 1), "two": ("SUCCEEDED", 0)}
    assert workspace.home.ids("study")


def _twice(name: str) -> list[str]:
    exp = built()
    return [exp.add(Command("true"), name=name) for _ in range(2)]


def test_a_thread_may_run_an_experiment(workspace: ExpWorkspace) -> None:
    """It is watched to its end, though only the main thread can handle Ctrl-C; a direct run is refused."""
    ended: list[object] = []

    def work() -> None:
        exp = built()
        exp.add(Partial("os:getcwd"), name="t")
        ended.append(exp.run(quiet=True).status().exit_code)
        try:
            exp.run(direct=True)
        except UsageError as error:
            ended.append(error.message)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert ended == [0, "direct runs tasks in the main thread only"]
    assert len(list(workspace.home.ids("study"))) == 1


class Loud:
    """Sets a variable of its tasks."""

    def __init__(self, code: str) -> None:
        self.code = code

    def change(self, launch: Any) -> Any:
        """The launch with the variable."""
        return replace(launch, env={**launch.env, "CODE": self.code})


def program(exp: Exp, body: str, name: str = "pipeline.py") -> Path:
    """A program in a folder of its own."""
    return exp.spec(f"import nemorun_cli as run\n{body}", name=f"programs/{name}")


BODY = """
def double(x):
    print("double", 2 * x)
    return {"y": 2 * x}

if __name__ == "__main__":
    print("talk of the program")
    with run.Builder("built", params={"x": 3}) as exp:
        first = exp.add(run.Partial(double, x="${{ params.x }}"))
        exp.add(run.Script("show.sh", args=["${{ tasks.double.outputs.y }}"]), dependencies=[first])
        exp.run(sequential=None, tail_logs=True)
        print("after")
"""


def python(exp: Exp, path: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program as its author would."""
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=exp.folder,
        env={**exp.env, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},  # noqa: PTH120
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def test_a_program_runs_by_itself(exp: Exp) -> None:
    """`python pipeline.py` runs the experiment and watches it; paths lead from the program's folder."""
    (exp.folder / "programs").mkdir()
    (exp.folder / "programs" / "show.sh").write_text('echo "shown $1"\n')

    told = python(exp, program(exp, BODY))

    assert told.stdout.splitlines() == [
        "talk of the program",
        "double | double 6",
        "show.sh | shown 6",
        "after",
    ]
    assert exp.status()["status"] == "COMPLETED"


def test_what_a_program_changes_in_its_block_reaches_its_tasks(exp: Exp) -> None:
    """Its supervisor starts at `with`; one that would not have the environment of now is replaced."""
    body = """
import os
from nemorun_cli.supervisor import client
with run.Builder("late") as exp:
    early = client._prepared[0].pid
    os.environ["LATE"] = "yes"
    os.umask(0o027)
    exp.add(run.Script(inline='echo "$LATE $(umask)"'), name="t")
    exp.run()
print(early)
"""
    early = int(python(exp, program(exp, body)).stdout.splitlines()[-1])
    assert exp("logs", "late", "t").stdout == "yes 0027\n"
    assert not is_running(early)


def test_a_process_forked_in_the_block_holds_nothing_up(exp: Exp) -> None:
    """It has the pipes of the supervisor open, and neither its run nor its end waits for it."""
    body = """
import os, time
from nemorun_cli.supervisor import client
with run.Builder("forks") as exp:
    early = client._prepared[0].pid
    child = os.fork()
    if not child:
        assert not client._prepared
        os.setsid()
        time.sleep(600)
    exp.add(run.Command("true"), name="t")
    exp.run(quiet=True)
with run.Builder("none"):
    unused = client._prepared[0].pid
os.kill(child, 9)
print(early, unused)
"""
    early, unused = map(int, python(exp, program(exp, body)).stdout.split())
    started = next(event for event in events(find("forks", home=Home(exp.home))) if "pid" in event)
    assert started["pid"] == early
    assert not is_running(unused)


def test_exp_runs_a_program(exp: Exp) -> None:
    """`exp run pipeline.py` takes what it builds, with options over its own; its talk goes to stderr."""
    (exp.folder / "programs").mkdir()
    (exp.folder / "programs" / "show.sh").write_text('echo "shown $1"\n')
    path = program(exp, BODY)

    started = exp("run", path, "-p", "x=5", "--no-tail-logs", "-q")

    assert started.stdout.startswith("built_")
    assert "talk of the program" in started.stderr
    assert exp("logs", "built", "show.sh").stdout == "shown 10\n"
    assert exp("validate", path, "--json").json["tasks"] == ["double", "show.sh"]
    assert exp("graph", path, "--json").json["name"] == "built"
    assert exp("run", path, "--dry-run", "--json").json["params"] == {"x": 3}
    path.unlink()
    assert exp("rerun", "built", "-p", "x=1", "--dry-run", "--json", code=2).json["problems"]


def test_an_experiment_of_a_program_goes_on_with_another_one(exp: Exp) -> None:
    """`exp resume --spec pipeline.py` takes what the program builds by now."""
    path = program(exp, "exp = run.Builder('built')\nexp.add(run.Command('false'), name='t')\nexp.run()\n")
    exp("run", path, code=1)
    path.write_text(path.read_text().replace("'false'", "'true'"))

    exp("resume", "built", "--spec", path, "--accept-changes")

    assert exp.task("t")["attempt"] == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print('nothing')", "runs no experiment"),
        ("x = 1\nx.y", "pipeline.py:3: AttributeError"),
        ("run.Builder('a').add([])", "a list of tasks needs a name"),
        ("import sys\nsys.exit(3)", "ended before it ran an experiment: exit code 3"),
        ("run.run({'tasks': {}})", "tasks: must not be empty"),
        ("exp = run.Builder('a\\nb')\nexp.add(run.Command('true'))\nexp.run()", "a text of one line"),
    ],
)
def test_programs_that_build_nothing_are_refused(exp: Exp, body: str, message: str) -> None:
    """A program that fails, or ends without a run, is told with its line, and nothing is created."""
    assert message in exp("run", program(exp, body), code=2).stderr
    assert exp("list", "--json").json["experiments"] == []


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        (
            "x = 1\ny = (1,\nz = 2\n",
            "pipeline.py:2: SyntaxError: '(' was never closed",
            "to see the traceback",
        ),
        ("import broken_module", "broken_module.py:2: SyntaxError: unmatched '}'", "to see the traceback"),
        ("def f():\n    raise OSError\n\n\nf()", "pipeline.py:2: OSError", "to see the traceback: python"),
        ("import textwrap\n\ntextwrap.dedent(3)", "pipeline.py:3: TypeError: ", "to see the traceback"),
        (
            "import nowhere_to_be_found",
            "pipeline.py:1: ModuleNotFoundError",
            f"install it for {sys.executable}",
        ),
        ("raise SystemExit('no data')", "ended before it ran an experiment: no data", "-- ARGS"),
        ("import sys\nsys.exit()", "runs no experiment", "call its run()"),
        ("x = '\0'", "pipeline.py", "to see the traceback"),
    ],
)
def test_errors_while_a_program_is_read_name_its_line(
    tmp_path: Path, body: str, message: str, hint: str
) -> None:
    """Whatever ends it is wrong usage, with the line that is to be changed and what to do."""
    (tmp_path / "broken_module.py").write_text("\n}\n")
    (tmp_path / "pipeline.py").write_text(body)
    before = list(sys.argv), list(sys.path)

    with pytest.raises(UsageError) as error:
        python_specs.run(tmp_path / "pipeline.py", ["a"])

    assert message in error.value.message
    assert hint in (error.value.hint or "")
    assert (sys.argv, sys.path) == before


QUIET = """
import sys
exp = run.Builder("Quiet runs", quiet=True, check=False)
print(exp)
exp.add(run.Script(inline="exit 3"), name="one")
first = exp.run()
exp.run(detach=True).wait(timeout=60)
exp.run(direct=True)
print(first, flush=True)
print("behind", file=sys.stderr, flush=True)
exp.run(quiet=False)
"""


def test_a_quiet_run_prints_nothing(exp: Exp) -> None:
    """Neither progress nor a summary, however it ends; what objects print fits on a line."""
    argv = [sys.executable, str(program(exp, QUIET))]
    done = subprocess.run(
        argv, cwd=exp.folder, env=exp.env, capture_output=True, text=True, timeout=60, check=False
    )
    built, first = done.stdout.splitlines()
    assert built == "Builder('Quiet runs', 0 tasks)"
    assert first.startswith("Run('quiet-runs_")
    quiet, _, loud = done.stderr.partition("behind\n")
    assert (done.returncode, quiet) == (0, "")
    assert "FAILED" in loud


ARGUMENTS = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--tasks", type=int, default=1)
parser.add_argument("--json", action="store_true")
parser.add_argument("words", nargs="*")
given = parser.parse_args()
exp = run.Builder("given")
for number in range(given.tasks):
    exp.add(run.Command(["echo", *given.words[:1]]), name=f"t{number}")
exp.run()
"""


def test_what_follows_two_dashes_is_for_the_program(exp: Exp) -> None:
    """Every command that reads a program passes it on; it is kept as what was built, and nowhere else."""
    path = program(exp, ARGUMENTS)
    given = ["--", "--tasks", "2", "--json", "--", "-x", "s3cret"]

    assert exp("run", path, "-q", *given).stdout.startswith("given_")

    stored = [file.read_text() for file in exp.home.glob("experiments/given/*/*") if file.is_file()]
    assert not any("s3cret" in text or "--tasks" in text for text in stored)
    again = exp("rerun", "given", "--dry-run", "--json").json["tasks"]
    assert [task["argv"][-2:] for task in again] == [["echo", "-x"]] * 2
    assert len(exp("graph", path, "--json", "--", "--tasks", "3").json["nodes"]) == 3
    resumed = exp("resume", "given", "--spec", path, "--dry-run", "--json", "--", "--tasks", "4", "a").json
    assert resumed["added"] == ["t2", "t3"]
    started = run(path, arguments=["--tasks", "2"], home=Home(exp.home))
    assert len(started.wait(timeout=60).spec.tasks) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("validate", "pipeline.py", "a", "-b"), "no such option: -b"),
        (("run", "pipeline.py", "a", "b"), "for arguments of the program: exp run pipeline.py -- a b"),
        (("run", "pipeline.py", "a", "--", "b"), "got unexpected extra arguments (a b)"),
        (("run", "spec.yaml", "--", "a"), "spec.yaml takes no arguments: it is not a Python program"),
        (("run", "none.py", "--", "a"), "none.py: does not exist"),
        (("graph", "latest", "--", "a"), "latest is an experiment"),
        (("resume", "latest", "--", "a"), "use --spec PROGRAM"),
        (("resume", "latest", "--spec", "spec.yaml", "--", "a"), "spec.yaml takes no arguments"),
    ],
)
def test_arguments_that_no_program_gets_are_refused(exp: Exp, words: tuple[str, ...], message: str) -> None:
    """Without `--`, or where no program is read, they would be lost."""
    program(exp, ARGUMENTS)
    exp("run", exp.spec("tasks: {a: {command: 'true'}}"), "-q")
    assert message in exp.on_terminal(*words, columns=160, code=2).stderr


def test_a_program_that_a_task_imports_starts_nothing(exp: Exp) -> None:
    """Without a guard the import by a partial would start it all again: the task fails and says so."""
    body = "def f(): ...\nexp = run.Builder('built')\nexp.add(run.Partial(f))\nexp.run()\n"
    path = {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}  # noqa: PTH120 - a text

    exp("run", program(exp, body), code=1, env=path)

    assert "__main__" in exp("logs", "built", "f").stdout
    assert len(exp("list", "--json").json["experiments"]) == 1


PYTHON = """
import sys

def show(wanted):
    print(sys.executable == wanted)

if __name__ == "__main__":
    exp = run.Builder("own")
    exp.add(run.Partial(show, sys.executable), name="one")
    exp.add([run.Partial(show, sys.executable)], name="both", executor=[run.LocalExecutor()])
    exp.run(tail_logs=True)
"""


def test_a_partial_finds_the_modules_next_to_its_program(exp: Exp) -> None:
    """Wherever it runs, in a copy too: its workdir is searched first, and then the folder of the program."""
    (exp.folder / "elsewhere").mkdir()
    subprocess.run(["git", "init", "-q"], cwd=exp.folder, check=True)
    body = """
import os

def where():
    return {"folder": os.path.basename(os.getcwd())}

if __name__ == "__main__":
    with run.Builder("apart") as exp:
        exp.add(run.Partial(where), workdir="../elsewhere")
        exp.add(run.Partial(where), workdir="..", packager="git")
        exp.add(run.Partial(where), packager={"type": "hybrid", "parts": {"code": "git"}, "start": "."})
        exp.run()
"""
    path = program(exp, body)
    for flags in ([], ["--direct"]):
        exp("run", path, "-q", *flags)
        first, *shipped = exp("show", "apart", "--json").json["tasks"]
        assert first["outputs"] == {"folder": "elsewhere"}
        lengths = [len(task["outputs"]["folder"]) for task in shipped]
        assert lengths == [len("0123456789abcdef")] * 2  # the hashes of the contents


def test_partials_run_under_the_python_of_their_program(exp: Exp) -> None:
    """They find what the program finds, also if its environment is not first on PATH."""
    path = {"PATH": os.environ["PATH"].replace(f"{os.path.dirname(sys.executable)}:", "")}  # noqa: PTH120
    env = {**exp.env, **path}
    argv = [sys.executable, str(program(exp, PYTHON))]
    done = subprocess.run(
        argv, cwd=exp.folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["both/0 | True", "one | True"]


EXITS = """
import sys
with run.Builder("exits", **{keys}) as exp:
    exp.add(run.Script(inline="exit 3"), name="one", when="${{{{ params.fails }}}}")
    first = exp.run(**{flags})
    second = exp.run(detach=True)
    second.wait(timeout=60)
    print(first.status().status, file=sys.stderr)
print("behind", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("keys", "flags", "code"),
    [
        ({"params": {"fails": True}}, {}, 1),
        ({"params": {"fails": False}}, {"direct": True}, 0),
        ({"params": {"fails": True}, "check": False}, {}, 0),
    ],
    ids=str,
)
def test_a_program_ends_as_what_it_waited_for(
    exp: Exp, keys: dict[str, Any], flags: dict[str, Any], code: int
) -> None:
    """Leaving `with` ends the program with the first exit code that is not 0; inside of it nothing does."""
    told = python(exp, program(exp, EXITS.format(keys=keys, flags=flags)), code)
    assert ("FAILED" if keys["params"]["fails"] else "COMPLETED") in told.stderr.splitlines()
    assert ("behind" in told.stderr.splitlines()) is (code == 0)


def test_a_run_without_a_block_ends_the_program(exp: Exp) -> None:
    """`run()` of a program raises SystemExit; in a module that a program imports it returns, unless asked."""
    body = "exp = run.Builder('a')\nexp.add(run.Command('false'), name='t')\nexp.run({})\nprint('behind')\n"
    assert python(exp, program(exp, body.format("")), 1).stdout == ""
    assert python(exp, program(exp, body.format("check=False"))).stdout == "behind\n"
    program(exp, body.format(""), "library.py")
    assert python(exp, program(exp, "import library\n")).stdout == "behind\n"
    program(exp, body.format("check=True"), "library.py")
    assert python(exp, program(exp, "import library\n"), 1).stdout == ""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("exp.add(run.Command('true'), dependencies=['frist'])", "did you mean first?"),
        ("exp.add(run.Command('true'), timout=3)", "timout"),
        ("exp.add([run.Command('true')])", "needs a name"),
    ],
)
def test_an_error_of_a_program_has_its_line(exp: Exp, line: str, told: str) -> None:
    """What is wrong with what a program builds is reported with the line that adds it, and exit code 2."""
    body = f"exp = run.Builder('a')\nexp.add(run.Command('true'), name='first')\n{line}\nexp.run()\n"
    path = program(exp, body)
    for stderr in (python(exp, path, 2).stderr, exp("run", path, code=2).stderr):
        assert f"{path}:4" in stderr
        assert told in stderr
        assert "Traceback" not in stderr
    relative = path.relative_to(exp.folder)
    assert f"{relative}:4" in exp("validate", relative, code=2).stderr


def test_another_error_of_a_program_keeps_its_traceback(exp: Exp) -> None:
    """Only errors of the experiment are reported as the command line does."""
    assert "Traceback" in python(exp, program(exp, "exp = run.Builder('a')\n1 / 0\n"), 1).stderr
