"""What every executor promises, a test each; the first line of its docstring is the rule."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from nemorun_cli import executors
from nemorun_cli.contract.fixtures import (
    EXECUTOR,
    NOTE,
    eventually,
    kill_supervisor,
    log,
    statuses,
    until,
)
from nemorun_cli.contract.shared_run import RulePlace, ended_tasks, ends_alone, shared_runs  # noqa: F401 - fixtures
from nemorun_cli.errors import SpecError
from nemorun_cli.experiment.records import targets
from nemorun_cli.experiment.records.series import read
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.storage import failed_line
from nemorun_cli.storage.failed_line import FailedLine

if TYPE_CHECKING:
    from nemorun_cli.contract.fixtures import Workspace
    from nemorun_cli.contract.shared_run import EndedTasks
    from nemorun_cli.views.snapshot import Snapshot

NASTY: Final = [
    "two words",
    "",
    "'single' and \"double\"",
    "$HOME ${HOME} $(id) `id`",
    "two\nlines\n",
    "tab\tand \\ backslash \\n",
    "*",
    "-n",
    "a;b|c&d>e<f#g!h",
    "ünïcödé 日本語 🧪",
    "%s %d",
    "  spaces around  ",
]
PRINT: Final = 'printf "%s\\0" "$@" >seen'  # writes its arguments down, each ended by NUL
SERVER: Final = """\
import os, socket
server = socket.create_server(("", 0))
server.settimeout(60)
with open("new", "w") as file:
    file.write(str(server.getsockname()[1]))
os.rename("new", "port")
server.accept()[0].sendall(b"well met")
"""
CLIENT: Final = """\
import json, os, socket, sys, time
open("waits", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
hosts = json.loads(os.environ["EXP_GROUP_HOSTS"])
assert [hosts["the.server"][0], list(hosts)] == [os.environ["EXP_HOST_THE_SERVER"], ["the.server", "client"]]
host = sys.argv[1] or hosts["the.server"][0]
with open("port") as file, socket.create_connection((host, int(file.read())), 30) as server:
    print(server.recv(100).decode())
"""
SECRET: Final = "s3cret'\"$HOME`id` \\ with\nthree\nlines"  # noqa: S105 - not a real one

KINDS: Final = ("command", "inline")
AT_ONCE: Final = {"max_parallel": 4}


def both(script: str, **own: Any) -> dict[str, Any]:
    """A task that is a command, and one that is an inline text."""
    return {"command": {"command": ["sh", "-c", script], **own}, "inline": {"inline": script, **own}}


def job_ids(snapshot: Snapshot) -> list[str]:
    """The job ids of both; empty unless both have one."""
    ids = [snapshot.history.tasks[kind].job_id for kind in KINDS]
    return [each for each in ids if each] if all(ids) else []


def are_up(workspace: Workspace) -> bool:
    """Whether both have begun: each creates a file."""
    return all((workspace.folder / f"up-{kind}").exists() for kind in KINDS)


# -- how a task ends --------------------------------------------------------------------------------


CODES: Final = [0, 1, 42, 126, 255]


@ends_alone(lambda _: {f"exits-{code}": {"inline": f"exit {code}", "entrypoint": "sh"} for code in CODES})
def test_exit_codes_are_reported(ended: EndedTasks) -> None:
    """The exit code of a task is known, and any but 0 is a failure."""
    assert {name: state.exit_code for name, state in ended.states.items()} == {
        f"exits-{code}": code for code in CODES
    }
    assert ended.states["exits-0"].status is TaskStatus.SUCCEEDED
    assert {state.status for name, state in ended.states.items() if name != "exits-0"} == {TaskStatus.FAILED}


@ends_alone(
    lambda _: {
        "strict": "echo begun\n(exit 7) | cat\necho wrong",
        "plain": {"inline": "false\necho continued", "entrypoint": "bash"},
    }
)
def test_a_failed_command_ends_an_inline_text(ended: EndedTasks) -> None:
    """An inline text ends at its first failed command, with that code, and the line is known."""
    assert {name: state.exit_code for name, state in ended.states.items()} == {"strict": 7, "plain": 0}
    assert (ended.log("strict"), ended.log("plain")) == (b"begun\n", b"continued\n")
    assert failed_line.read(ended.files("strict"), 7) == FailedLine(2, None, "(exit 7) | cat")


SIGNALS: Final = {"KILL": 137, "TERM": 143, "SEGV": 139}


@pytest.mark.parametrize(("signal", "code"), SIGNALS.items())
@ends_alone(lambda _: {name: f"kill -{name} $$" for name in SIGNALS})
def test_a_death_by_signal_is_reported(ended: EndedTasks, signal: str, code: int) -> None:
    """A task that a signal ends has 128 and its number as exit code, and the reason `signal`."""
    state = ended.states[signal]
    assert (state.status, state.reason, state.exit_code) == (TaskStatus.FAILED, Reason.SIGNAL, code)


@ends_alone(
    lambda _: {
        "command": {"command": ["no-such-program", "x"]},
        "script": {"inline": "true", "entrypoint": "no-such-shell"},
    }
)
def test_a_program_that_does_not_exist_is_reported(ended: EndedTasks) -> None:
    """A command, and an entrypoint, that cannot be found is a failed launch that names it."""
    assert {state.reason for state in ended.states.values()} == {Reason.LAUNCH}
    assert "no-such-program" in str(ended.states["command"].message)
    assert "no-such-shell" in str(ended.states["script"].message)


def test_what_a_task_leaves_behind_is_ended(workspace: Workspace) -> None:
    """A process that outlives its task is ended before the task counts as over."""
    left = f"touch up; {until('never')}"
    workspace.one(f"sh -c '{left}' </dev/null >/dev/null 2>&1 & {until('up')}", defaults={"stop_grace": "1s"})
    assert workspace.left() == []


# -- kinds of tasks ---------------------------------------------------------------------------------


def test_commands_scripts_and_partials_run(workspace: Workspace) -> None:
    """A command, a script with another entrypoint, an inline script and a Python callable all run."""
    (workspace.folder / "script.py").write_text("import sys\nprint('script', sys.argv[1])\n")
    (workspace.folder / "called.py").write_text(
        "def main(number: int) -> None:\n    print('partial', number + 1)\n"
    )
    tasks = {
        "command": {"command": ["echo", "command"]},
        "script": {"script": "script.py", "entrypoint": "python3", "args": ["x"]},
        "inline": {"inline": "echo inline $1", "args": ["y"]},
        "partial": {"partial": "called:main", "args": {"number": 41}},
    }
    run = workspace.start(tasks)
    assert set(statuses(run.wait(timeout=120)).values()) == {"SUCCEEDED"}
    found = {name: log(run, name).decode().strip() for name in tasks}
    assert found == {
        "command": "command",
        "script": "script x",
        "inline": "inline y",
        "partial": "partial 42",
    }


def test_a_task_runs_in_its_workdir(workspace: Workspace) -> None:
    """Relative paths are those of `workdir`, which is the spec's folder unless the task overrides it."""
    (workspace.folder / "deeper").mkdir()
    tasks = {
        "default": {"command": ["touch", "default"]},
        "deeper": {"command": ["touch", "own"], "workdir": "deeper"},
        "script": {"inline": "touch script", "workdir": "deeper"},
    }
    workspace.run(tasks)
    assert sorted(path.name for path in workspace.folder.glob("deeper/*")) == ["own", "script"]
    assert (workspace.folder / "default").exists()


@pytest.mark.parametrize("kind", ["command", "script", "inline"])
def test_a_task_runs_on_what_was_shipped(workspace: Workspace, kind: str) -> None:
    """With a packager tasks run on a copy of the code, at the workdir's place in it, and share it."""
    (workspace.folder / "src").mkdir()
    (workspace.folder / "src" / "code.sh").write_text('cat "$(dirname "$0")/text"; echo "$1" >left\n')
    (workspace.folder / "src" / "text").write_text("what was there")
    bodies: dict[str, dict[str, Any]] = {
        "command": {"command": ["sh", "code.sh", "more"]},
        "script": {"script": "src/code.sh", "args": ["more"]},
        "inline": {"inline": "sh code.sh more"},
    }
    tasks = {
        "first": {**bodies[kind], "workdir": "src"},
        "second": {"command": ["cat", "left"], "workdir": "src", "dependencies": ["first"]},
    }
    run = workspace.start(tasks, packager={"type": "pattern", "include": ["src"]})
    assert set(statuses(run.wait(timeout=60)).values()) == {"SUCCEEDED"}
    assert (log(run, "first"), log(run, "second")) == (b"what was there", b"more\n")
    assert not (workspace.folder / "src" / "left").exists()


def led(_: RulePlace) -> dict[str, Any]:
    """Tasks behind a launcher that sets a variable."""
    say = 'printf "%s %s" "$LED" "$1"'
    own = {"args": ["a 'b'"], "launcher": {"wrap": ["env", "LED=by two words"]}}
    return {"command": {"command": ["sh", "-c", say, "sh"], **own}, "inline": {"inline": say, **own}}


@pytest.mark.parametrize("kind", ["command", "inline"])
@ends_alone(led)
def test_a_launcher_leads(ended: EndedTasks, kind: str) -> None:
    """A launcher precedes the command, whatever the task is."""
    assert ended.statuses()[kind] == "SUCCEEDED"
    assert ended.log(kind) == b"by two words a 'b'"


def test_a_python_environment_comes_first(workspace: Workspace) -> None:
    """The programs of a Python environment precede all others; without it, its tasks fail."""
    for name in ("kept", "removed"):
        programs = workspace.folder / name / "bin"
        programs.mkdir(parents=True)
        (programs.parent / "pyvenv.cfg").write_text("version = 3.12.4\n")
        (programs / "tool").write_text('#!/bin/sh\necho "$1 in $VIRTUAL_ENV"\n')
        (programs / "python").write_text('#!/bin/sh\necho own Python; PATH=${PATH#*:} exec python3 "$@"\n')
        shutil.copy(programs / "python", programs / "python3")
        for program in programs.iterdir():
            program.chmod(0o755)
    kept = {"python": {"venv": str(workspace.folder / "kept")}}
    tasks: dict[str, Any] = {
        "command": {"command": ["tool", "two words"], **kept},
        "text": {"inline": 'tool "$1"', "args": ["$HOME"], **kept},
        "partial": {"partial": "json:loads", "args": {"s": "1"}, **kept},
        "missing": {"command": ["no-such-tool"], **kept},
        "remove": {"inline": "rm -r removed"},
        "without": {
            "command": ["tool"],
            "python": {"venv": str(workspace.folder / "removed")},
            "dependencies": ["remove"],
        },
    }
    run = workspace.start(tasks, defaults={"entrypoint": "sh"})
    final = run.wait(timeout=60)
    ends = {name: str(state.status) for name, state in final.history.tasks.items()}
    assert ends == {name: "FAILED" if name in ("missing", "without") else "SUCCEEDED" for name in tasks}
    place = workspace.folder / "kept"
    assert log(run, "command") == f"two words in {place}\n".encode()
    assert log(run, "text") == f"$HOME in {place}\n".encode()
    assert log(run, "partial") == b"own Python\n"
    assert final.history.tasks["missing"].exit_code == 127
    assert f"there is no program no-such-tool in {place}/bin" in log(run, "missing").decode()
    state = final.history.tasks["without"]
    assert "removed" in (log(run, "without").decode() if state.started else state.message or "")


def in_a_short_lived_folder(place: RulePlace) -> dict[str, Any]:
    """A task whose workdir another one has removed."""
    folder = place.folder / "short-lived"
    folder.mkdir()
    return {
        "before": "rmdir short-lived",
        "one": {"inline": f"{NOTE}; echo wrong >>../ran", "workdir": str(folder), "dependencies": ["before"]},
    }


@ends_alone(in_a_short_lived_folder)
def test_a_workdir_that_is_missing_is_reported(ended: EndedTasks) -> None:
    """A script whose workdir is not there (any more) does not run, and the reason is `launch`."""
    state = ended.states["one"]
    assert (state.reason, ended.lines()) == (Reason.LAUNCH, [])
    assert "workdir" in str(state.message)


@ends_alone(lambda _: {"script": "cat; read line || echo $?", "command": {"command": ["cat"]}})
def test_nothing_is_to_be_read(ended: EndedTasks) -> None:
    """Standard input is empty: a task that reads it does not wait."""
    assert set(ended.statuses().values()) == {"SUCCEEDED"}
    assert ended.log("script") == b"1\n"


# -- what a task receives ----------------------------------------------------------------------------


def with_nasty_arguments(place: RulePlace) -> dict[str, Any]:
    """Tasks that write down their arguments, each in a folder of its own."""
    (place.folder / "print.sh").write_text(PRINT)
    tasks: dict[str, Any] = {
        "command": {"command": ["sh", "print.sh", *NASTY]},
        "script": {"script": str(place.folder / "print.sh"), "entrypoint": "sh", "args": NASTY},
        "inline": {"inline": PRINT, "entrypoint": "sh", "args": NASTY},
    }
    for kind, task in tasks.items():
        folder = place.folder / kind
        folder.mkdir()
        (folder / "print.sh").write_text(PRINT)
        task["workdir"] = str(folder)
    return tasks


@pytest.mark.parametrize("kind", ["command", "script", "inline"])
@ends_alone(with_nasty_arguments)
def test_arguments_arrive_as_they_are(ended: EndedTasks, kind: str) -> None:
    """Arguments arrive byte for byte: spaces, quotes, `$`, backticks, newlines, non-ASCII, empty ones."""
    seen = (ended.folder / kind / "seen").read_bytes()
    assert seen.split(b"\0")[:-1] == [text.encode() for text in NASTY]


VARIABLES: Final = {
    **{f"NASTY_{index}": value for index, value in enumerate(NASTY)},
    **dict.fromkeys(
        ["A", "attempt", "code", "timeout", "signal", "mask", "grace", "workdir", "watchdog", "line"], "mine"
    ),
}


def with_nasty_variables(_: RulePlace) -> dict[str, Any]:
    """Tasks that write down their variables."""
    program = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"
    return {
        "command": {
            "command": ["python3", "-c", program, "seen-command"],
            "env": {**VARIABLES, "PYTHONUNBUFFERED": "0"},
            "timeout": "1m",
        },
        "inline": {
            "inline": program,
            "entrypoint": "python3",
            "args": ["seen-inline"],
            "env": VARIABLES,
            "timeout": "1m",
        },
    }


@pytest.mark.parametrize("kind", ["command", "inline"])
@ends_alone(with_nasty_variables)
def test_the_environment_arrives_as_it_is(ended: EndedTasks, kind: str) -> None:
    """Variables arrive byte for byte, whatever they are called."""
    seen = json.loads((ended.folder / f"seen-{kind}").read_text(encoding="utf-8"))
    assert {name: seen.get(name) for name in VARIABLES} == VARIABLES
    assert seen["PYTHONUNBUFFERED"] == ("0" if kind == "command" else "1")


def test_a_task_knows_its_place(workspace: Workspace) -> None:
    """`EXP_ID`, `EXP_DIR` and the other variables of `exp` identify the attempt to its task."""
    program = "import json, os; json.dump(dict(os.environ), open('seen', 'w'))"
    run = workspace.start({"one": {"inline": program, "entrypoint": "python3"}})
    run.wait(timeout=60)
    seen = json.loads((workspace.folder / "seen").read_text(encoding="utf-8"))
    wanted = {
        "EXP_ID": run.id,
        "EXP_NAME": "tried",
        "EXP_DIR": str(run.directory),
        "EXP_SHARED": str(run.files.shared),
        "EXP_TASK": "one",
        "EXP_TASK_DIR": str(run.files.task("one")),
        "EXP_ATTEMPT": "1",
        "EXP_OUTPUT": str(run.files.attempt("one", 1).outputs),
        "NEMORUN_HOME": str(workspace.home.directory),
        "EXP_DASH_ROOT": str(workspace.home.dash),
    }
    assert {name: seen.get(name) for name in wanted} == wanted


@ends_alone(lambda _: {"script": "touch here $EXP_SHARED/there", "command": {"command": ["touch", "plain"]}})
def test_files_belong_to_who_calls(ended: EndedTasks) -> None:
    """What a task writes belongs to the user who started the experiment."""
    files = [
        *(ended.folder / name for name in ("here", "plain")),
        ended.run.files.shared / "there",
        ended.files("script").log,
    ]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in files} == {(os.geteuid(), os.getegid())}


# -- what a task reports -------------------------------------------------------------------------------


LINES: Final = (
    "i=0; while [ $i -lt 2000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; printf 'no end'"
)


@ends_alone(lambda _: {"one": {"inline": LINES, "entrypoint": "sh"}})
def test_logs_are_complete_and_in_order(ended: EndedTasks) -> None:
    """Every byte of standard output and error is in the log, in the order in which it was written."""
    wanted = "".join(f"out {index}\nerr {index}\n" for index in range(2000)) + "no end"
    assert ended.log("one").decode() == wanted


def test_standard_error_can_be_apart(workspace: Workspace) -> None:
    """With `stderr_to_stdout: false` each has a file, and messages about errors come from the latter."""
    script = 'echo out; echo "error: link is down" >&2; echo more; exit 3'
    retry = {"limit": 1, "on": [{"log": "link is d[a-z]+n$"}]}
    tasks: dict[str, Any] = {"command": {"command": ["sh", "-c", script]}, "inline": {"inline": script}}
    tasks = {name: {**task, "stderr_to_stdout": False, "retry": retry} for name, task in tasks.items()}
    if not executors.capabilities(EXECUTOR, workspace.subject.options).separates_stderr:
        with pytest.raises(SpecError, match="file of its own"):
            workspace.start(tasks)
        return
    run = workspace.start(tasks)
    states = run.wait(timeout=60).history.tasks
    for name in tasks:
        assert states[name].attempt == 2
        for attempt in (1, 2):
            files = run.files.attempt(name, attempt)
            assert files.stderr.read_text() == "error: link is down\n"
            assert files.log.read_text() == "out\nmore\n"
        assert workspace.command("logs", run.id, name) == "out\nmore\n"
        assert workspace.command("logs", run.id, name, "--stderr") == "error: link is down\n"
        assert "error: link is down" in workspace.command("why", run.id, name)


BYTES: Final = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 10_000)"


@ends_alone(lambda _: {"one": {"command": ["python3", "-c", BYTES]}})
def test_the_log_of_a_command_is_complete(ended: EndedTasks) -> None:
    """The output of a bare command is kept to the last byte, also where it is much and no text."""
    found, wanted = ended.log("one"), bytes(range(256)) * 10_000
    assert len(found) == len(wanted)
    assert hashlib.sha256(found).digest() == hashlib.sha256(wanted).digest()


def test_logs_come_while_a_task_runs(workspace: Workspace) -> None:
    """What a task writes can be read before it ends, by `exp logs` too."""
    run = workspace.start(both(f"echo begun; {until('go')}"), run=AT_ONCE)
    paths = [run.files.attempt(kind, 1).log for kind in KINDS]
    eventually(lambda: all(path.exists() and path.read_bytes() == b"begun\n" for path in paths))
    for kind in KINDS:
        assert workspace.command("logs", run.id, kind) == "begun\n"
    workspace.touch("go")
    run.wait(timeout=60)


def with_outputs(place: RulePlace) -> dict[str, Any]:
    """A task with outputs, and one that uses them."""
    outputs = f"tasks['{place.name('first')}'].outputs"
    return {
        "first": 'printf "text=a b\\nrows:=3\\n" >>"$EXP_OUTPUT"',
        "then": {
            "command": ["echo", f"${{{{ {outputs}.text }}}}", f"${{{{ {outputs}.rows }}}}"],
            "dependencies": ["first"],
        },
    }


@ends_alone(with_outputs)
def test_outputs_are_passed_on(ended: EndedTasks) -> None:
    """What a task writes to `$EXP_OUTPUT` is there for the tasks after it."""
    assert ended.states["first"].outputs == {"text": "a b", "rows": 3}
    assert ended.log("then") == b"a b 3\n"


def test_the_best_member_is_passed_on(workspace: Workspace) -> None:
    """A task gets the values and outputs of the best member of a group, by a metric that members print."""
    train = {
        "inline": 'echo "loss $1"; test "$1" != 0 && echo "model=model-$1" >>"$EXP_OUTPUT"',
        "args": ["${{ matrix.x }}"],
        "matrix": {"x": [2, 0, 1]},
        "metrics": {"train": r"loss (?P<loss>\S+)"},
        "best": {"metric": "loss", "goal": "minimize"},
    }
    best = "tasks.train.best"
    use = {
        "command": [
            "echo",
            f"${{{{ {best}.id }}}}",
            f"${{{{ {best}.params.x }}}}",
            f"${{{{ {best}.outputs.model }}}}",
        ],
        "dependencies": ["train"],
        "dependency_type": "afterany",
    }
    run = workspace.start({"train": train, "use": use})
    final = run.wait(timeout=120)
    assert statuses(final)["use"] == "SUCCEEDED", final.history.tasks["use"].message
    assert log(run, "use") == b"train/x=1 1 model-1\n"


def test_an_earlier_result_is_taken(workspace: Workspace) -> None:
    """A task with `cache` whose inputs are the same does not run again, and has what the first run had."""
    is_remote = executors.capabilities(EXECUTOR, workspace.subject.options).is_remote
    (workspace.folder / "raw").write_text("raw\n")
    rule: dict[str, Any] = {"inputs": ["raw"]} | (
        {} if is_remote else {"outputs": ["$EXP_SHARED/made", "made"]}
    )
    tasks = {
        "make": {
            "inline": 'echo "$EXP_ID" | tee "$EXP_SHARED/made" made; echo "by=$EXP_ID" >>"$EXP_OUTPUT"',
            "cache": rule,
            "artifacts": ["made"],
        },
        "use": {"command": ["echo", "${{ tasks.make.outputs.by }}"], "dependencies": ["make"]},
    }
    first = workspace.start(tasks)
    assert statuses(first.wait(timeout=120)) == {"make": "SUCCEEDED", "use": "SUCCEEDED"}
    second = workspace.start(tasks)
    final = second.wait(timeout=120)
    assert (statuses(final)["use"], final.history.tasks["make"].reason) == ("SUCCEEDED", "cached")
    assert log(second, "use") == f"{first.id}\n".encode()
    made = f"{first.id}\n"
    if is_remote:
        assert (second.files.attempt("make", 1).artifacts / "made").read_text() == made
    else:
        assert [path.read_text() for path in (second.files.shared / "made", workspace.folder / "made")] == [
            made
        ] * 2


@ends_alone(
    lambda _: {
        "first": 'mkdir "$EXP_SHARED/data" && echo handed >"$EXP_SHARED/data/on"',
        "then": {"command": ["sh", "-c", 'cat "$EXP_SHARED/data/on"'], "dependencies": ["first"]},
    }
)
def test_files_are_handed_on(ended: EndedTasks) -> None:
    """What a task writes to `$EXP_SHARED` is there for the tasks after it on the same executor."""
    assert set(ended.statuses().values()) == {"SUCCEEDED"}
    assert ended.log("then") == b"handed\n"


@ends_alone(
    lambda _: {
        "out": 'echo wrong >"$EXP_DIR/elsewhere"',
        "in": 'for place in "$EXP_TASK_DIR" "$EXP_SHARED"; do echo well >"$place/well"; done',
    }
)
def test_a_container_is_a_boundary(ended: EndedTasks) -> None:
    """In a container `$EXP_DIR` is read-only but for folders of its task; `exp why` names `$EXP_SHARED`."""
    found, run = ended.statuses(), ended.run
    assert found["in"] == "SUCCEEDED"
    explanation = ended.workspace.command("why", run.id, ended.place.name("out"))
    if executors.capabilities(EXECUTOR, ended.workspace.subject.options).is_container:
        assert (found["out"], (run.directory / "elsewhere").exists()) == ("FAILED", False)
        assert b"Read-only file system" in ended.log("out")
        assert "what other tasks use belongs in $EXP_SHARED" in " ".join(explanation.split())
    else:
        assert (found["out"], "read-only" in explanation) == ("SUCCEEDED", False)


# -- what follows -----------------------------------------------------------------------------------


@ends_alone(
    lambda _: {
        "fails": "exit 1",
        "child": {"inline": NOTE, "dependencies": ["fails"]},
        "grandchild": {"inline": NOTE, "dependencies": ["child"]},
        "free": "true",
    }
)
def test_the_children_of_a_failure_are_skipped(ended: EndedTasks) -> None:
    """What depends on a failed task never runs, and independent tasks continue."""
    assert ended.statuses() == {
        "fails": "FAILED",
        "child": "SKIPPED",
        "grandchild": "SKIPPED",
        "free": "SUCCEEDED",
    }
    assert ended.lines() == []


def test_what_cannot_be_started_fails_alone(workspace: Workspace) -> None:
    """Of tasks that start together, the one whose folder cannot be made fails with reason launch."""
    tasks: dict[str, Any] = {
        "first": until("go"),
        "bad": {"inline": NOTE, "dependencies": ["first"]},
        "good": {"inline": NOTE, "dependencies": ["first"]},
        "other": {"inline": NOTE, "dependencies": ["first"]},
    }
    run = workspace.start(tasks, run={"max_parallel": 8})  # with a limit, nothing is submitted early
    eventually(lambda: run.status().history.tasks["first"].status is TaskStatus.RUNNING)
    run.files.task("bad").touch()  # a file where its folder has to be
    workspace.touch("go")
    snapshot = run.wait(timeout=120)
    assert statuses(snapshot) == {
        "first": "SUCCEEDED",
        "bad": "FAILED",
        "good": "SUCCEEDED",
        "other": "SUCCEEDED",
    }
    assert snapshot.history.tasks["bad"].reason == "launch"
    assert sorted(workspace.lines()) == ["good 1", "other 1"]


def test_dependents_run_as_their_type_says(workspace: Workspace) -> None:
    """`afterok`, `afterany` and `afternotok` decide alike, also behind what was skipped or timed out."""

    def after(*parents: str, kind: str = "afterok") -> dict[str, Any]:
        return {"inline": NOTE, "dependencies": list(parents), "dependency_type": kind}

    wait = until("go")
    tasks = {
        "good": f"{wait}; echo x=1 >>$EXP_OUTPUT",
        "bad": f"{wait}; exit 3",
        "odd": {"inline": f"{wait}; exit 4", "allow_failure": True},
        "late": {"inline": f"{wait}; trap 'exit 0' TERM; {until('never')}", "timeout": "2s"},
        "ok": after("good", "odd"),
        "not-ok": after("good", "bad"),
        "too-late": after("late"),
        "any": after("bad", "not-ok", kind="afterany"),
        "mends": after("good", "bad", kind="afternotok"),
        "unneeded": after("good", kind="afternotok"),
        "last": after("any", "unneeded"),
    }
    run = workspace.start(tasks)
    eventually(lambda: run.status().history.tasks["good"].status is TaskStatus.RUNNING)
    workspace.touch("go")
    assert statuses(run.wait(timeout=120)) == {
        "good": "SUCCEEDED",
        "bad": "FAILED",
        "odd": "FAILED",
        "late": "FAILED",
        "ok": "SUCCEEDED",
        "not-ok": "SKIPPED",
        "too-late": "SKIPPED",
        "any": "SUCCEEDED",
        "mends": "SUCCEEDED",
        "unneeded": "SKIPPED",
        "last": "SKIPPED",
    }
    assert sorted(workspace.lines()) == ["any 1", "mends 1", "ok 1"]


def test_members_that_are_together_run_at_once(workspace: Workspace) -> None:
    """Each can wait for the others, and has its own log, exit code and outputs."""
    meet = "touch $EXP_ATTEMPT.{own}; until [ -e $EXP_ATTEMPT.{other} ]; do sleep 0.05; done; echo {own}"
    members = [
        {"inline": meet.format(own="a", other="b") + "; echo x=1 >>$EXP_OUTPUT"},
        {"inline": meet.format(own="b", other="a") + "; exit 3"},
    ]
    run = workspace.start({"pair": {"group": members, "together": True}})
    snapshot = run.wait(timeout=120)
    assert statuses(snapshot) == {"pair/0": "SUCCEEDED", "pair/1": "FAILED"}
    first, second = (snapshot.history.tasks[name] for name in ("pair/0", "pair/1"))
    assert (first.outputs, first.exit_code, second.exit_code) == ({"x": "1"}, 0, 3)
    assert b"a\n" in log(run, "pair/0").splitlines(keepends=True)
    assert b"b\n" in log(run, "pair/1").splitlines(keepends=True)


def test_members_find_each_other(workspace: Workspace) -> None:
    """Members of a group reach each other by variables, also after kill -9 of the supervisor."""
    members = [
        {"name": name, "inline": text, "entrypoint": "python3", "args": [workspace.subject.host]}
        for name, text in {"the.server": SERVER, "client": CLIENT}.items()
    ]
    run = workspace.start({"duo": {"group": members, "together": True}})
    eventually(lambda: all((workspace.folder / name).exists() for name in ("port", "waits")))
    kill_supervisor(run)
    workspace.touch("go")
    eventually(lambda: run.status().is_over)
    assert statuses(run.status()) == {"duo/the.server": "SUCCEEDED", "duo/client": "SUCCEEDED"}
    assert log(run, "duo/client") == b"well met\n"


def test_a_group_ends_with_its_leader(workspace: Workspace) -> None:
    """A leader's end stops the others: they succeed with it (`until`), or fail with it (`dependency`)."""
    server = f'trap "echo stopped >>ran; exit 3" USR1; touch up; {until("never")}'
    tasks = {
        "good": {
            "group": [
                {"name": "server", "inline": server, "stop_signal": "USR1"},
                {"name": "leader", "command": ["sh", "-c", until("up")]},
            ],
            "until": "leader",
        },
        "bad": {
            "group": [
                {"name": "other", "command": ["sh", "-c", f"touch other; {until('never')}"]},
                {"name": "leader", "inline": f"{until('other')}; exit 4"},
            ],
            "until": "leader",
        },
        "after": {"inline": NOTE, "dependencies": ["good"]},
    }
    states = workspace.run(tasks, run={"max_parallel": 4}).history.tasks
    assert {name: (str(state.status), state.reason) for name, state in states.items()} == {
        "good/server": ("SUCCEEDED", "until"),
        "good/leader": ("SUCCEEDED", None),
        "bad/other": ("CANCELLED", "dependency"),
        "bad/leader": ("FAILED", "exit"),
        "after": ("SUCCEEDED", None),
    }
    assert (states["good/server"].exit_code, workspace.lines()) == (3, ["stopped", "after 1"])


@ends_alone(
    lambda _: {"one": {"inline": 'echo try $EXP_ATTEMPT; test "$EXP_ATTEMPT" = 3', "retry": {"limit": 5}}}
)
def test_a_retry_is_a_new_attempt(ended: EndedTasks) -> None:
    """A task that failed is tried again as often as allowed, each attempt with its own log and number."""
    state = ended.states["one"]
    assert (state.status, state.attempt) == (TaskStatus.SUCCEEDED, 3)
    assert [ended.log("one", attempt) for attempt in (1, 2, 3)] == [b"try 1\n", b"try 2\n", b"try 3\n"]


def test_many_run_each_once(workspace: Workspace) -> None:
    """Twenty tasks, ten at a time, run once each."""
    workspace.run({f"task-{index}": NOTE for index in range(20)}, run={"max_parallel": 10})
    assert sorted(workspace.lines()) == sorted(f"task-{index} 1" for index in range(20))


# -- ending a task ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["command", "inline"])
@ends_alone(
    lambda _: both(f'trap "echo stopped >>$EXP_TASK.ran; exit 7" TERM; {until("never")}', timeout="1s")
)
def test_a_timeout_ends_a_task(ended: EndedTasks, kind: str) -> None:
    """A task that runs longer than its timeout gets its stop signal and counts as `timeout`."""
    state, lines = ended.states[kind], ended.lines(f"{ended.place.name(kind)}.ran")
    assert (state.status, state.reason, lines) == (TaskStatus.FAILED, Reason.TIMEOUT, ["stopped"])


@pytest.mark.parametrize("kind", ["command", "inline"])
@ends_alone(lambda _: both(f'trap "" TERM; {until("never")}', timeout="1s", stop_grace="1s"))
def test_a_timeout_ends_a_deaf_task(ended: EndedTasks, kind: str) -> None:
    """A task that ignores the signal of its timeout is killed after its grace."""
    state = ended.states[kind]
    assert (state.reason, "killed" in str(state.message)) == (Reason.TIMEOUT, True)


def test_cancel_sends_the_stop_signal(workspace: Workspace) -> None:
    """A cancelled task gets its own `stop_signal`, has its grace to end, and counts as CANCELLED."""
    script = f'trap "echo stopped $EXP_TASK >>ran; exit 0" USR1; touch up-$EXP_TASK; {until("never")}'
    run = workspace.start(both(script, stop_signal="USR1"), run=AT_ONCE)
    eventually(lambda: are_up(workspace))
    ends = {(state.status, state.reason) for state in run.cancel().history.tasks.values()}
    assert ends == {(TaskStatus.CANCELLED, Reason.CANCELLED)}
    assert sorted(workspace.lines()) == ["stopped command", "stopped inline"]


def stopped_by_a_metric(_: RulePlace) -> dict[str, Any]:
    """Tasks that print a metric by which they have to stop."""
    prints = 'trap "echo stopped $EXP_TASK >>ran; exit 3" USR1; echo loss='
    task = {"stop_signal": "USR1", "metrics": {"train": r"loss=(?P<loss>\S+)"}}
    return {
        "target": {
            **task,
            "inline": f"{prints}3; echo loss=2; echo loss=1; {until('never')}",
            "stop": {"metric": "loss", "below": 2},
        },
        "diverged": {**task, "inline": f"{prints}nan; {until('never')}", "stop": [{"nan": "train/loss"}]},
        "after": {"inline": NOTE, "dependencies": ["target"]},
    }


@ends_alone(stopped_by_a_metric)
def test_a_metric_stops_a_task(ended: EndedTasks) -> None:
    """A task whose `stop` is met gets its stop signal, and is SUCCEEDED (`target`) or FAILED (`diverged`)."""
    states = ended.states
    assert {name: (str(state.status), state.reason, state.exit_code) for name, state in states.items()} == {
        "target": ("SUCCEEDED", "target", 3),
        "diverged": ("FAILED", "diverged", 3),
        "after": ("SUCCEEDED", None, 0),
    }
    assert states["target"].message == "train/loss is 1, below 2"
    assert sorted(ended.lines()) == ["after 1", "stopped diverged", "stopped target"]


def test_a_search_prunes_a_trial(workspace: Workspace) -> None:
    """A trial runs with the values suggested for it; a hopeless one gets its stop signal: `pruned`.

    The tasks of a trial of a group share its values and its end: once one is pruned, no other one starts.
    """
    pytest.importorskip("optuna", reason="searches need the extra [search]")
    search = {
        "params": {"x": [1, 9]},
        "metric": "loss",
        "goal": "minimize",
        "trials": 2,
        "sampler": "random",
        "start_with": [{"x": 9}, {"x": 1}],
        "pruner": {"type": "threshold", "upper": 5},
        "max_parallel": 1,
    }
    train = {
        "inline": 'trap "echo stopped >>ran; exit 3" USR1; echo "loss=$1"; '
        f'[ "$1" = 1 ] || {until("never")}; echo "$1 $X" >>ran',
        "args": ["${{ search.x }}"],
        "env": {"X": "${{ search.x + 1 }}"},
        "stop_signal": "USR1",
        "metrics": {"train": r"loss=(?P<loss>\S+)"},
    }
    first = f'{train["inline"]}; echo "model=of-$1" >>"$EXP_OUTPUT"'.replace(">>ran", ">>tuned")
    model = "${{ tasks['tune/train'].outputs.model }}"
    tune = [
        {**train, "name": "train", "inline": first},
        {"name": "test", "dependencies": ["train"], "inline": 'echo "$1" >>tuned', "args": [model]},
    ]
    use = "echo ${{ tasks.train.best.id }} ${{ tasks.train.best.params.x }} >>ran"
    states = workspace.run(
        {
            "train": {**train, "search": search},
            "tune": {"group": tune, "search": search},
            "use": {"inline": use, "dependencies": ["train"]},
        }
    ).history.tasks
    assert {name: (str(state.status), state.reason, state.exit_code) for name, state in states.items()} == {
        "train/trial-0001": ("SUCCEEDED", "pruned", 3),
        "train/trial-0002": ("SUCCEEDED", None, 0),
        "tune/trial-0001/train": ("SUCCEEDED", "pruned", 3),
        "tune/trial-0001/test": ("SKIPPED", "pruned", None),
        "tune/trial-0002/train": ("SUCCEEDED", None, 0),
        "tune/trial-0002/test": ("SUCCEEDED", None, 0),
        "use": ("SUCCEEDED", None, 0),
    }
    assert workspace.lines() == ["stopped", "1 2", "train/trial-0002 1"]
    assert (workspace.folder / "tuned").read_text().splitlines() == ["stopped", "1 2", "of-1"]


def test_cancel_ends_a_deaf_task(workspace: Workspace) -> None:
    """A task that ignores the signal is killed after its grace; when cancel returns it has terminated."""
    script = f'trap "" TERM INT HUP; touch up-$EXP_TASK; {until("never")}'
    run = workspace.start(both(script, stop_grace="1s"), run=AT_ONCE)
    eventually(lambda: are_up(workspace))
    assert statuses(run.cancel()) == dict.fromkeys(KINDS, "CANCELLED")
    eventually(lambda: run.status(observe=False).supervisor == "ended")
    assert workspace.left() == []


def test_cancel_reaches_the_whole_tree(workspace: Workspace) -> None:
    """What a task started gets the signal too, in the background and in a session of its own."""
    child = 'trap "echo $0 >>ran; exit 0" TERM; touch $0; ' + until("never")
    (workspace.folder / "child.sh").write_text(child)
    script = (
        'sh -c ". ./child.sh" background & setsid sh -c ". ./child.sh" session & '
        f'trap "wait; exit 0" TERM; {until("never")}'
    )
    run = workspace.start({"one": {"inline": script, "entrypoint": "bash"}})
    eventually(lambda: (workspace.folder / "background").exists() and (workspace.folder / "session").exists())
    run.cancel()
    assert sorted(workspace.lines()) == ["background", "session"]


def test_cancel_leaves_the_others(workspace: Workspace) -> None:
    """Cancelling one task ends that one only."""
    run = workspace.start({"one": f"touch up; {until('go')}", "two": until("go")})
    eventually((workspace.folder / "up").exists)
    run.cancel(["one"])
    workspace.touch("go")
    assert statuses(run.wait(timeout=60)) == {"one": "CANCELLED", "two": "SUCCEEDED"}


def test_cancel_at_once(workspace: Workspace) -> None:
    """What is cancelled while it is still being started does not run on."""
    run = workspace.start({f"task-{index}": until("never") for index in range(4)}, run={"max_parallel": 4})
    assert set(statuses(run.cancel(grace=1.0)).values()) == {"CANCELLED"}
    eventually(lambda: run.status(observe=False).supervisor == "ended")
    assert workspace.left() == []


def test_a_task_whose_folder_is_removed_ends(workspace: Workspace) -> None:
    """An attempt whose folder is removed ends, a cancel of it returns, and other tasks continue."""
    ends = f"touch up-$EXP_TASK; {until('go')}; exit 3"
    late = f"trap 'exit 0' TERM; touch up-$EXP_TASK; {until('never')}"
    tasks: dict[str, Any] = {
        "script": ends,
        "command": {"command": ["sh", "-c", ends]},
        "cancelled": f"trap '' TERM; touch up-$EXP_TASK; {until('never')}",
        "late": {"command": ["sh", "-c", late], "timeout": "2s"},
        "other": f"touch up-$EXP_TASK; {until('go')}",
        "after": {"inline": NOTE, "dependencies": ["script", "command"], "dependency_type": "afterany"},
    }
    run = workspace.start(tasks, run={"max_parallel": 8})
    eventually(lambda: len(list(workspace.folder.glob("up-*"))) == len(tasks) - 1)
    for name in ("script", "command", "cancelled", "late"):
        shutil.rmtree(run.files.task(name), ignore_errors=True)  # a log may just be written there
    assert run.cancel(["cancelled"], grace=1.0).history.tasks["cancelled"].status is TaskStatus.CANCELLED
    workspace.touch("go")
    snapshot = run.wait(timeout=120)
    ended = {name: (state.reason, state.exit_code) for name, state in snapshot.history.tasks.items()}
    for name in ("script", "command"):  # only what can still be known
        assert ended[name] in {(Reason.EXIT, 3), (Reason.LOST, None)}
    assert snapshot.history.tasks["late"].status is TaskStatus.FAILED
    assert ended["other"] == (None, 0)
    assert workspace.lines() == ["after 1"]


# -- without a supervisor ---------------------------------------------------------------------------


def test_a_task_outlives_its_supervisor(workspace: Workspace) -> None:
    """After kill -9 of the supervisor the task continues, its log too, and its true exit code is known."""
    script = f"echo begun; touch up-$EXP_TASK; {until('go')}; {NOTE}; echo done; exit 5"
    run = workspace.start(both(script), run=AT_ONCE)
    eventually(lambda: are_up(workspace))
    kill_supervisor(run)
    assert statuses(run.status()) == dict.fromkeys(KINDS, "RUNNING")
    workspace.touch("go")
    states = run.wait(timeout=60).history.tasks
    assert {(state.status, state.exit_code) for state in states.values()} == {(TaskStatus.FAILED, 5)}
    assert sorted(workspace.lines()) == ["command 1", "inline 1"]
    assert [log(run, kind) for kind in KINDS] == [b"begun\ndone\n"] * 2


def test_resume_adopts_what_runs(workspace: Workspace) -> None:
    """A resume adopts the running task, starts no second one, and continues with its dependents."""
    tasks = both(f"touch up-$EXP_TASK; {until('go')}; {NOTE}")
    after = {f"after-{kind}": {"inline": NOTE, "dependencies": [kind]} for kind in KINDS}
    run = workspace.start({**tasks, **after}, run=AT_ONCE)
    eventually(lambda: are_up(workspace))
    before = eventually(lambda: job_ids(run.status()))
    kill_supervisor(run)
    run.resume()
    workspace.touch("go")
    snapshot = run.wait(timeout=60)
    assert statuses(snapshot) == dict.fromkeys([*KINDS, *after], "SUCCEEDED")
    lines = workspace.lines()
    assert sorted(lines) == [f"{name} 1" for name in sorted([*KINDS, *after])]
    assert all(lines.index(f"{kind} 1") < lines.index(f"after-{kind} 1") for kind in KINDS)
    assert job_ids(snapshot) == before


def test_what_a_task_uses_is_recorded(workspace: Workspace) -> None:
    """With `tracking.system`, a task that is old enough has rows; no supervisor repeats those of another."""
    capabilities = executors.capabilities(EXECUTOR, workspace.subject.options)
    if not capabilities.measures and not capabilities.records_samples:
        return
    text = f"touch up; {until('go')}"
    run = workspace.start({"one": text, "short": "true"}, tracking={"system": "1s"})

    def rows(task: str = "one") -> list[dict[str, Any]]:
        records = targets.of_experiment(run.status(), home=run.home.directory, task=task)
        return [row for each in records for series in read(each, wanted=["system"]) for row in series.rows]

    eventually((workspace.folder / "up").exists)
    eventually(rows)
    kill_supervisor(run)
    before = rows()
    run.resume()
    eventually(lambda: len(rows()) > len(before))
    workspace.touch("go")
    assert statuses(run.wait(timeout=60)) == {"one": "SUCCEEDED", "short": "SUCCEEDED"}
    found = rows()
    assert found[: len(before)] == before
    assert all(row["memory"] > 0 and row["cpu"] >= 0 for row in found)
    assert all(later["_ts"] - earlier["_ts"] > 0.3 for earlier, later in pairwise(found))
    assert rows("short") == []


def test_resume_after_the_end(workspace: Workspace) -> None:
    """What ended while nobody watched is not run again by a resume, and its outputs count."""
    script = f"touch up; {until('go')}; {NOTE}; echo key=value >>$EXP_OUTPUT; touch over"
    run = workspace.start({"one": script, "two": {"inline": NOTE, "dependencies": ["one"]}})
    eventually((workspace.folder / "up").exists)
    kill_supervisor(run)
    workspace.touch("go")
    eventually((workspace.folder / "over").exists)
    run.resume()
    snapshot = run.wait(timeout=60)
    assert (statuses(snapshot)["two"], workspace.lines()) == ("SUCCEEDED", ["one 1", "two 1"])
    assert snapshot.history.tasks["one"].outputs == {"key": "value"}


def test_a_resume_stops_what_a_leader_left(workspace: Workspace) -> None:
    """After kill -9 of the supervisor a leader's end stops nobody, `exp why` says so, and a resume does."""
    leads = f"touch waits; {until('go')}; echo over >over"
    members = [
        {
            "name": "server",
            "inline": f'trap "echo $EXP_ATTEMPT >>ran; exit 1" TERM; touch up; {until("never")}',
        },
        {"name": "client", "inline": leads},
    ]
    run = workspace.start({"g": {"group": members, "until": "client"}}, run={"max_parallel": 2})
    eventually(lambda: all((workspace.folder / name).exists() for name in ("up", "waits")))
    kill_supervisor(run)
    workspace.touch("go")
    eventually(lambda: run.status().history.tasks["g/client"].status is TaskStatus.SUCCEEDED)
    assert statuses(run.status()) == {"g/server": "RUNNING", "g/client": "SUCCEEDED"}
    assert "without a supervisor nothing stops it" in workspace.command("why", run.id, "g/server")
    run.resume()
    state = run.wait(timeout=60).history.tasks["g/server"]
    assert (state.status, state.reason, workspace.lines()) == (TaskStatus.SUCCEEDED, Reason.UNTIL, ["1"])


@pytest.mark.parametrize(
    "point",
    ["ledger.synced:3", "attempt.plan:1", "attempt.submitted:1", "attempt.spawned:1", "attempt.over:1"],
)
def test_a_crash_at_any_point_runs_nothing_twice(
    workspace: Workspace, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the supervisor is killed, after a resume every task has run exactly once."""
    with monkeypatch.context() as patch:
        patch.setenv("EXP_FAULT", point)
        run = workspace.start({"one": NOTE, "two": {"inline": NOTE, "dependencies": ["one"]}})
        eventually(lambda: run.status(observe=False).supervisor in {"gone", "ended"})
    run.resume()
    assert set(statuses(run.wait(timeout=60)).values()) == {"SUCCEEDED"}
    assert workspace.lines() == ["one 1", "two 1"]


def test_no_child_runs_in_spite_of_its_parent(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the supervisor is killed at a parent's end, no child runs afterwards that this end forbids."""
    tasks = {
        "fails": "exit 3",
        "child": {"inline": NOTE, "dependencies": ["fails"]},
        "grandchild": {"inline": NOTE, "dependencies": ["child"]},
        "cleanup": {"inline": NOTE, "dependencies": ["fails"], "dependency_type": "afternotok"},
    }
    with monkeypatch.context() as patch:
        patch.setenv("EXP_FAULT", "attempt.over:1")
        run = workspace.start(tasks)
        eventually(lambda: run.status(observe=False).supervisor in {"gone", "ended"})
    run.resume()
    assert statuses(run.wait(timeout=60)) == {
        "fails": "FAILED",
        "child": "SKIPPED",
        "grandchild": "SKIPPED",
        "cleanup": "SUCCEEDED",
    }
    assert workspace.lines() == ["cleanup 1"]


def test_cancel_without_a_supervisor(workspace: Workspace) -> None:
    """A task whose supervisor has terminated can still be cancelled."""
    run = workspace.start({"one": f"touch up; {until('never')}"})
    eventually((workspace.folder / "up").exists)
    kill_supervisor(run)
    assert statuses(run.cancel()) == {"one": "CANCELLED"}
    assert workspace.left() == []


# -- what is shown and what is not -------------------------------------------------------------------


def test_secrets_are_nowhere_to_be_found(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task gets its secret byte for byte; no file, no command line and no engine shows it."""
    script = (
        f'printf %s "$TOKEN" | sha256sum | cut -d" " -f1 >seen-$EXP_TASK; touch up-$EXP_TASK; {until("go")}'
    )
    secrets = {"TOKEN": {"env": "A_SECRET"}}
    with monkeypatch.context() as patch:
        patch.setenv("A_SECRET", SECRET)
        run = workspace.start(both(script, secrets=secrets, env_inherit="none"), run=AT_ONCE)
    eventually(lambda: are_up(workspace))
    parts = {SECRET.encode(), *SECRET.encode().split(b"\n")} - {b"three", b"lines"}
    files = [path for path in workspace.home.directory.rglob("*") if path.is_file() and not path.is_symlink()]
    lines = [" ".join(process.info["cmdline"] or ()).encode() for process in workspace.processes()]
    shown = workspace.subject.shown(workspace.home.directory).encode()
    for text in (*(path.read_bytes() for path in files), *lines, shown):
        assert not any(part in text for part in parts)
    workspace.touch("go")
    run.wait(timeout=60)
    for kind in KINDS:
        assert workspace.lines(f"seen-{kind}") == [hashlib.sha256(SECRET.encode()).hexdigest()]


WANTED: Final = {"cpus": 1, "memory": "64M"}


@ends_alone(lambda _: {name: {"inline": "true", "resources": WANTED} for name in ("one", "two")})
def test_a_task_runs_with_what_it_asks_for(ended: EndedTasks) -> None:
    """Tasks that ask for CPUs and memory run, and are shown with the requested and the used amounts."""
    names = {ended.place.name(name) for name in ("one", "two")}
    shown = [task for task in ended.run.status().to_json()["tasks"] if task["id"] in names]
    assert [task["status"] for task in shown] == ["SUCCEEDED", "SUCCEEDED"]
    assert all(task.get("resources") == {"cpus": 1, "memory": 64 << 20} for task in shown)
    assert all(usage is None or usage["cpu"] >= 0 for task in shown for usage in [task.get("usage")])


def test_what_can_never_be_had_is_refused(workspace: Workspace) -> None:
    """A request that can never be met is a problem of the spec, reported before anything is created."""
    with pytest.raises(SpecError, match="resources: on tested: "):
        workspace.start({"one": {"inline": "true", "resources": {"cpus": 90_000}}})
    assert not Path(workspace.home.experiments).exists()


def retried_by_their_logs(_: RulePlace) -> dict[str, Any]:
    """Tasks that fail, of which the log of one matches."""
    script = f'{NOTE}; echo "error: link is $1" >&2; exit 3'
    retry = {"limit": 1, "on": [{"log": "link is d[a-z]+n$"}]}
    return {word: {"inline": script, "args": [word], "retry": retry} for word in ("down", "up")}


@ends_alone(retried_by_their_logs)
def test_a_task_is_retried_by_what_it_wrote(ended: EndedTasks) -> None:
    """A failure is tried again if its output has what `retry.on` looks for, and not otherwise."""
    assert sorted(ended.lines()) == ["down 1", "down 2", "up 1"]


def test_the_status_tells_where_a_task_runs(workspace: Workspace) -> None:
    """While it runs and after, a task has a job id, its executor, times, and what all this is known by."""
    began = time.time()
    run = workspace.start({"one": f"touch up; {until('go')}"})
    eventually((workspace.folder / "up").exists)
    running = eventually(
        lambda: next((one for one in run.status().to_json()["tasks"] if one["status"] == "RUNNING"), None)
    )
    workspace.touch("go")
    run.wait(timeout=60)
    ended = run.status().to_json()["tasks"][0]
    for task in (running, ended):
        assert (task["executor"], task["type"]) == ("tested", workspace.subject.options["type"])
        assert task["job_id"]
        assert task["evidence"]
    assert running["job_id"] == ended["job_id"]
    started, duration = ended["started"], ended["duration"]
    assert started is not None
    assert ended["ended"] is not None
    assert started <= ended["ended"]
    assert duration is not None
    assert 0 <= duration < time.time() - began


def test_the_dry_run_shows_what_will_run(workspace: Workspace) -> None:
    """`--dry-run` prints the executor and the exact command, and creates nothing."""
    spec = workspace.spec({"one": {"command": ["echo", "a 'b' $c"]}})
    document = json.loads(workspace.command("run", spec, "--dry-run", "--json"))
    text = json.dumps(document)
    assert json.dumps("a 'b' $c")[1:-1] in text
    assert "tested" in text
    assert not Path(workspace.home.experiments).exists()
    assert workspace.left() == []


def test_the_engine_is_well(workspace: Workspace) -> None:
    """`exp doctor` finds nothing wrong with an engine on which the contract can be run."""
    run = workspace.start({"one": "true"})
    run.wait(timeout=60)
    document = json.loads(workspace.command("doctor", run.id, "--json"))
    found = [check for check in document["checks"] if "tested" in check["subject"]]
    assert {check["state"] for check in found} == {"well"}


def test_a_finished_experiment_needs_no_engine(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status of a finished task is read from the ledger, whatever the state of the engine."""
    run = workspace.start({"one": "true"})
    run.wait(timeout=60)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    assert statuses(find(run.id, home=workspace.home).status()) == {"one": "SUCCEEDED"}
