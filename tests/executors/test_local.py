"""The local executor: what a task finds when it runs here, and what is left of it when it has ended."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import NOTE, attempt, is_running, kill_supervisor, log, shim_pid, status, until

from nemorun_cli.executors import AttemptStatus, Job, process_tree, shim_call
from nemorun_cli.executors.local import LocalExecutor
from nemorun_cli.executors.shim_call import NO_FOLDER, shim_line
from nemorun_cli.experiment.run import find
from nemorun_cli.model import attempt_end
from nemorun_cli.model.plan import Plan
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.storage import attempts
from nemorun_cli.storage.paths import ExperimentFiles, Home

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp, ExpWorkspace

SHIM = shim_call.SHIM


@pytest.mark.parametrize(
    ("script", "code", "reason", "message"),
    [
        ("exit 3", 3, "exit", None),
        ("no-such-program-here", 127, "exit", "a program was not found"),
        ("kill -SEGV $$", 139, "signal", "killed by SIGSEGV"),
        ("kill -KILL $$", 137, "signal", "killed by SIGKILL"),
        ("exit 200", 200, "exit", None),
    ],
)
def test_end_is_told_by_code_and_reason(
    workspace: ExpWorkspace, script: str, code: int, reason: str, message: str | None
) -> None:
    """Exit codes are kept as they are, and 128 and more is told as a signal where there is one."""
    state = workspace.run({"a": script}).history.tasks["a"]
    assert (state.status, state.exit_code, state.reason, state.message) == ("FAILED", code, reason, message)


@pytest.mark.parametrize(
    "task", [{"command": ["no-such-program"]}, {"inline": ":", "entrypoint": "no-such-shell"}]
)
def test_program_that_is_not_there_is_a_launch_failure(workspace: ExpWorkspace, task: dict[str, Any]) -> None:
    """A program that is not on the task's PATH fails the task with reason `launch` and its name."""
    state = workspace.run({"a": task}).history.tasks["a"]
    assert (state.status, state.reason, state.exit_code) == ("FAILED", "launch", None)
    assert "no-such" in (state.message or "")


def test_workdir_that_is_not_there_is_a_launch_failure(workspace: ExpWorkspace) -> None:
    """A folder that is gone by the time the task starts fails it with reason `launch`."""
    (workspace.folder / "sub").mkdir()
    run = workspace.start({"a": "rmdir sub", "b": {"inline": NOTE, "workdir": "sub", "dependencies": ["a"]}})
    state = run.wait(timeout=60).history.tasks["b"]
    assert (state.status, state.reason) == ("FAILED", "launch")
    assert workspace.lines() == []


def test_argument_list_that_is_too_long_fails_the_task(workspace: ExpWorkspace) -> None:
    """What the system refuses to start is that task's failure and nobody else's."""
    snapshot = workspace.run({"a": {"command": ["echo", "x" * 3_000_000]}, "b": NOTE})
    assert snapshot.history.tasks["a"].reason == "launch"
    assert workspace.lines() == ["b 1"]


@pytest.mark.parametrize("name", ["INT", "TERM", "USR1", "HUP", "PIPE", "QUIT"])
def test_no_signal_is_ignored_in_a_task(workspace: ExpWorkspace, name: str) -> None:
    """A task starts with every signal at its default, whatever the caller and `exp` itself do with it."""
    snapshot = workspace.run({"a": {"command": ["sh", "-c", f"kill -s {name} $$; exit 0"]}})
    assert snapshot.history.tasks["a"].exit_code == 128 + signal.Signals["SIG" + name]


def test_signals_are_not_blocked_in_a_task(workspace: ExpWorkspace) -> None:
    """No signal is blocked or ignored, even if the caller ignores it, as under nohup."""
    script = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
    spec = workspace.spec({"a": {"command": script}})
    command = f"trap '' HUP INT USR1; exec {workspace.exp.argv[0]} run {spec} -d"
    run_id = subprocess.run(
        ["sh", "-c", command],
        env=workspace.exp.env,
        cwd=workspace.folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    workspace.exp("wait", run_id)
    lines = workspace.exp.directory(run_id).joinpath("tasks/a/attempt-1/log").read_text().split("\n")
    known = (1 << 31) - 1  # beyond are signals that the C library keeps for itself
    assert [int(line.split()[1], 16) & known for line in lines if line] == [0, 0]


def test_pipe_that_breaks_ends_the_writer_quietly(workspace: ExpWorkspace) -> None:
    """`yes | head` ends as at a shell's prompt."""
    run = workspace.start({"a": "set -o pipefail; yes | head -1"})
    run.wait(timeout=60)
    assert log(run, "a") == "y\n"
    assert run.status().history.tasks["a"].exit_code == 141


def test_input_is_empty(workspace: ExpWorkspace) -> None:
    """A task that reads its input finds the end of it at once."""
    run = workspace.start({"a": "readlink /proc/self/fd/0; cat"})
    run.wait(timeout=60)
    assert log(run, "a") == "/dev/null\n"


def test_nothing_else_is_inherited(workspace: ExpWorkspace) -> None:
    """Beside input, output and its lock a task has no descriptor of `exp`'s."""
    run = workspace.start({"a": {"command": ["sh", "-c", "ls /proc/$$/fd"]}})
    run.wait(timeout=60)
    assert set(log(run, "a").split()) == {"0", "1", "2", "9"}


@pytest.mark.parametrize(
    ("inherited", "spec", "expected"),
    [
        (None, {}, "1"),
        ("", {}, ""),
        ("0", {}, "0"),
        ("0", {"env_inherit": "none"}, "1"),
        ("0", {"env_inherit": ["PATH"]}, "1"),
        ("0", {"env_inherit": ["PATH", "PYTHONUNBUFFERED"]}, "0"),
        ("0", {"env": {"PYTHONUNBUFFERED": "1"}}, "1"),
        (None, {"env": {"PYTHONUNBUFFERED": ""}}, ""),
        (None, {"env_file": "env"}, "from a file"),
        ("0", {"secrets": {"PYTHONUNBUFFERED": {"file": "secret"}}}, "secret"),
        (None, {"executors": {"local": {"type": "local", "env": {"PYTHONUNBUFFERED": "2"}}}}, "2"),
    ],
)
def test_python_writes_its_output_at_once(
    exp: Exp, inherited: str | None, spec: dict[str, Any], expected: str
) -> None:
    """`PYTHONUNBUFFERED` is 1, unless the spec sets it or the task inherits it; a dry run agrees."""
    exp.spec("PYTHONUNBUFFERED=from a file\n", "env")
    exp.spec("secret\n", "secret")
    command = ["/bin/sh", "-c", 'printf %s "$PYTHONUNBUFFERED"']
    path = exp.spec(json.dumps({**spec, "tasks": {"a": {"command": command}}}))
    env = {} if inherited is None else {"PYTHONUNBUFFERED": inherited}
    exp("run", path, "-q", env=env)
    assert (exp.directory() / "tasks/a/attempt-1/log").read_text() == expected
    (task,) = exp("run", path, "--dry-run", "--json", env=env).json["tasks"]
    shown = "***" if "secrets" in spec else expected
    assert task["env"].get("PYTHONUNBUFFERED", inherited) == shown


def test_umask_is_the_callers(workspace: ExpWorkspace) -> None:
    """Files that a task makes have the mode that the caller's umask gives; those of `exp` are private."""
    before = os.umask(0o027)
    try:
        run = workspace.start({"a": ": >made"})
    finally:
        os.umask(before)
    run.wait(timeout=60)
    assert (workspace.folder / "made").stat().st_mode & 0o777 == 0o640


def test_everything_under_the_home_is_private(workspace: ExpWorkspace) -> None:
    """Files are 0600 and folders 0700, whatever the umask."""
    before = os.umask(0)
    try:
        run = workspace.start(
            {
                "a": "echo k=v >>$EXP_OUTPUT",
                "b": {"inline": "false", "allow_failure": True},
                "g/".rstrip("/"): {"group": [{"inline": ":"}]},
            }
        )
    finally:
        os.umask(before)
    run.wait(timeout=60)
    for path in workspace.home.directory.rglob("*"):
        mode = path.lstat().st_mode & 0o777
        if path.name == "outputs":  # the task's own, made with its own umask; its folder keeps it private
            continue
        assert mode == 0o700 if path.is_dir() or path.name == "shim" else mode == 0o600, path


def test_log_keeps_the_order(workspace: ExpWorkspace) -> None:
    """Ten thousand lines, by turns on both streams, are in the log in the order they were written."""
    run = workspace.start({"a": "for i in $(seq 5000); do echo out $i; echo err $i >&2; done"})
    run.wait(timeout=60)
    assert log(run, "a").splitlines() == [f"{one} {i}" for i in range(1, 5001) for one in ("out", "err")]


def test_task_may_close_all_descriptors(workspace: ExpWorkspace) -> None:
    """A task that closes everything it has, its lock included, is waited for to its end."""
    script = f"exec 0<&- 1>&- 2>&- 9>&-; {until('gate')}; exit 4"
    run = workspace.start(
        {"a": script, "b": {"inline": NOTE, "dependencies": ["a"], "dependency_type": "afternotok"}}
    )
    shim_pid(run, "a")
    eventually(lambda: status(run, "a") == "RUNNING")
    workspace.touch("gate")
    assert run.wait(timeout=60).history.tasks["a"].exit_code == 4
    assert workspace.lines() == ["b 1"]


LEFTOVERS = {
    "holds its lock": "sh -c 'echo $$ >>pids; exec sleep 600' &",
    "in a session of its own": "setsid sh -c 'echo $$ >>pids; exec sleep 600' &",
    "closed everything": "setsid sh -c 'echo $$ >>pids; exec sleep 600' 0<&- 1>&- 2>&- 9>&- &",
    "daemonised": "(setsid sh -c 'echo $$ >>pids; exec sleep 600' 9>&- >/dev/null 2>&1 &)",
    "deaf": """(setsid sh -c 'trap "" TERM; echo $$ >>pids; while :; do sleep 0.05; done' 9>&- &)""",
}


@pytest.mark.parametrize("supervised", [True, False])
@pytest.mark.parametrize("kind", LEFTOVERS)
def test_leftovers_are_ended_before_dependents_start(
    workspace: ExpWorkspace,
    kind: str,
    supervised: bool,  # noqa: FBT001
) -> None:
    """What a task leaves running is ended when its main process has ended, before what needs it begins."""
    wait = "" if supervised else until("gate")
    script = f"{LEFTOVERS[kind]}\nuntil [ -s pids ]; do sleep 0.01; done; {wait}"
    check = f"{NOTE}; if grep -qs '^State:.[^Z]' /proc/$(cat pids)/status; then echo alive >>ran; fi"
    run = workspace.start(
        {"a": {"inline": script, "stop_grace": 0.2}, "b": {"inline": check, "dependencies": ["a"]}}
    )
    eventually(lambda: workspace.lines("pids"))
    if not supervised:
        kill_supervisor(run)
        run.resume()
        workspace.touch("gate")
    final = run.wait(timeout=60)
    assert final.status is ExperimentStatus.COMPLETED
    assert workspace.lines() == ["b 1"]
    assert not is_running(int(workspace.lines("pids")[0]))


def test_two_homes_under_two_names_are_one(workspace: ExpWorkspace) -> None:
    """A home that is reached by a link is the same: a cancel through it finds the task's processes."""
    run = workspace.start({"a": until("never")})
    shim = shim_pid(run, "a")
    kill_supervisor(run)
    link = workspace.folder / "link"
    link.symlink_to(workspace.home.directory)
    assert find(run.id, home=Home(link)).cancel().status is ExperimentStatus.CANCELLED
    assert not is_running(shim)


# -- the executor by itself ---------------------------------------------------------------------------


def job(folder: Path, *argv: str, **fields: Any) -> Job:
    """An attempt in a folder that stands for an experiment's."""
    files = ExperimentFiles(folder)
    shutil.copyfile(SHIM, files.shim)
    env = {"EXP_ID": folder.name, "EXP_DIR": str(folder), "EXP_TASK": "a", "EXP_ATTEMPT": "1"}
    made = Plan(
        experiment=folder.name, task="a", attempt=1, executor="local", kind="command", argv=argv,
        workdir=str(folder), folder=str(folder), env=env, stop_signal="TERM", **{"stop_grace": 0.2, **fields},
    )  # fmt: skip
    return Job(
        experiment=folder.name, task="a", attempt=1, files=files.attempt("a", 1), plan=made, stop_grace=0.2
    )


def executor() -> LocalExecutor:
    return LocalExecutor("local", {}, {})


def ending(made: LocalExecutor, one: Job) -> attempt_end.AttemptEnd:
    def over() -> attempt_end.AttemptEnd | None:
        return next((seen.ending for seen in made.poll({one.key: one}) if seen.state == "over"), None)

    found = eventually(over)
    assert isinstance(found, attempt_end.AttemptEnd)
    return found


def test_submitting_twice_runs_once(tmp_path: Path) -> None:
    """A submission in doubt may be repeated, by the same executor or another: the task runs once."""
    one, two = executor(), executor()
    unconfirmed = job(tmp_path, "sh", "-c", "echo ran >>ran; until [ -e gate ]; do sleep 0.02; done; exit 3")
    first = list(one.submit([unconfirmed]))
    again = [*one.submit([unconfirmed]), *two.submit([unconfirmed])]
    assert {seen.state for seen in (*first, *again)} <= {"running", "queued"}
    (tmp_path / "gate").touch()
    assert ending(one, unconfirmed).exit_code == 3
    assert ending(two, unconfirmed).exit_code == 3
    assert (tmp_path / "ran").read_text() == "ran\n"
    one.close()
    two.close()


def test_submitting_what_has_ended_tells_its_end(tmp_path: Path) -> None:
    """An attempt that is over is not run again; its record counts."""
    one = executor()
    ended = job(tmp_path, "sh", "-c", "echo ran >>ran; exit 5")
    list(one.submit([ended]))
    assert ending(one, ended).exit_code == 5
    two = executor()
    (seen,) = two.submit([ended])
    assert (seen.state, seen.ending and seen.ending.exit_code) == ("over", 5)
    assert (tmp_path / "ran").read_text() == "ran\n"
    one.close()
    two.close()


def test_attempt_that_was_never_started_is_absent(tmp_path: Path) -> None:
    """Where there is no claim, no lock and no process, nothing was started."""
    one = executor()
    unknown = job(tmp_path, "true")
    (seen,) = one.poll({unknown.key: unknown})
    assert seen.state == "absent"
    attempts.make_folders(unknown.files)
    (seen,) = one.poll({unknown.key: unknown})
    assert seen.state == "absent"
    one.close()


def test_wakeup_tells_of_an_end_at_once(tmp_path: Path) -> None:
    """The descriptor becomes readable when a task has ended, and not before."""
    one = executor()
    task = job(tmp_path, "sh", "-c", "until [ -e gate ]; do sleep 0.02; done")
    list(one.submit([task]))
    descriptor = one.wakeup()
    assert descriptor is not None
    assert select.select([descriptor], [], [], 0)[0] == []
    (tmp_path / "gate").touch()
    assert select.select([descriptor], [], [], 20)[0] == [descriptor]
    assert ending(one, task).status is TaskStatus.SUCCEEDED
    one.close()


def test_secret_reaches_the_task_and_no_file(tmp_path: Path) -> None:
    """Secrets are put into the task's environment alone."""
    one = LocalExecutor("local", {}, {"TOKEN": "a-secret-value"})
    task = job(tmp_path, "sh", "-c", '[ "$TOKEN" = a-"secret"-value ]', secrets=("TOKEN",))
    list(one.submit([task]))
    assert ending(one, task).status is TaskStatus.SUCCEEDED
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and b"a-secret-value" in path.read_bytes()
    ]
    one.close()


def started(folder: Path, script: str) -> tuple[LocalExecutor, Job]:
    """An executor with a task that runs a script, whose attempt was claimed."""
    folder.mkdir()
    made, one = executor(), job(folder, "/bin/sh", "-c", script)
    assert [answer.state for answer in made.submit([one]) if isinstance(answer, AttemptStatus)] == ["running"]
    eventually((folder / "up").exists)
    return made, one


def test_end_in_a_removed_folder_is_the_exit_code(tmp_path: Path) -> None:
    """Its record has no place any more, but its parent knows how it ended, and says what is missing."""
    both = {code: started(tmp_path / str(code), f"touch up; {until('gate')}; exit {code}") for code in (0, 3)}
    for made, one in both.values():
        shutil.rmtree(one.files.directory)
        assert list(made.poll({one.key: one})) == []
        (one.experiment_files.directory / "gate").touch()
    ends = {code: ending(made, one) for code, (made, one) in both.items()}
    assert {code: (end.status, end.exit_code, end.message) for code, end in ends.items()} == {
        0: (TaskStatus.SUCCEEDED, 0, NO_FOLDER),
        3: (TaskStatus.FAILED, 3, NO_FOLDER),
    }


def test_adopted_task_in_a_removed_folder_is_seen_until_it_ends(tmp_path: Path) -> None:
    """Its processes show that it runs, and nothing shows how it ended: it is lost."""
    _, one = started(tmp_path / "x", f"touch up; {until('gate')}")
    adopting = executor()
    assert [status.state for status in adopting.poll({one.key: one})] == ["running"]
    shutil.rmtree(one.files.directory)
    later = executor()
    assert [status.state for status in later.poll({one.key: one})] == ["running"]
    (one.experiment_files.directory / "gate").touch()
    end = ending(adopting, one)
    assert (end.reason, end.message) == (Reason.LOST, NO_FOLDER)
    assert eventually(lambda: [status.state for status in later.poll({one.key: one})]) == ["absent"]


@pytest.mark.parametrize("what", ["removed", "moved", "replaced"])
def test_stop_ends_a_task_whatever_becomes_of_its_folder(tmp_path: Path, what: str) -> None:
    """The task is ended, and waited for by nobody, although its folder goes between the signal and KILL."""
    script = f"trap 'touch told' TERM; touch up; {until('never')}"
    made, one = started(tmp_path / "x", script)
    assert list(made.cancel([one], signal="TERM", grace=0.7)) == []
    eventually(lambda: made.poll({one.key: one}) == [] and (tmp_path / "x" / "told").exists())
    if what == "moved":
        (tmp_path / "x").rename(tmp_path / "y")
        one = replace(one, files=ExperimentFiles(tmp_path / "y").attempt("a", 1))
        made = executor()
        assert list(made.cancel([one], signal="TERM", grace=0.0)) == []
    else:
        shutil.rmtree(one.files.directory)
    if what == "replaced":
        one.files.directory.touch()
    assert ending(made, one).status is not TaskStatus.SUCCEEDED
    assert not process_tree.tree(process_tree.mark_of_attempt(one.files.directory), process_tree.scan())


@pytest.mark.parametrize(
    ("timeout", "grace", "expected"),
    [(None, 10.0, ("0", "10")), (0.5, 0.25, ("0.5", "0.25")), (1_000_001.0, 0.0, ("1000001", "0"))],
)
def test_times_are_written_without_exponents(
    tmp_path: Path, timeout: float | None, grace: float, expected: tuple[str, str]
) -> None:
    """Seconds are given to the shim as every `sleep` reads them, and none is lost."""
    plan = job(tmp_path, "true", timeout=timeout, stop_grace=grace).plan
    assert plan is not None
    line = shim_line(tmp_path, plan, "/bin/true")
    assert (line[5], line[7]) == expected


def test_scan_passes_over_what_it_may_not_look_into() -> None:
    """A look at all processes does not stumble over those of others, or over those that end meanwhile."""
    seen = process_tree.scan()
    assert os.getpid() in seen
    assert seen[os.getpid()].mark is None


def test_orphans_do_not_pile_up(workspace: ExpWorkspace) -> None:
    """A supervisor collects what tasks left behind and it inherited, while it goes on."""
    run = workspace.start(
        {
            "a": "for i in 1 2 3 4 5; do (setsid sh -c 'sleep 0.01' >/dev/null 2>&1 9>&- &); done",
            "b": until("gate"),
        },
        run={"max_parallel": 2},
    )
    shim_pid(run, "b")
    holder = run.status().holder
    assert holder is not None

    def zombies() -> list[str]:
        text = subprocess.run(
            ["ps", "-o", "stat=", "--ppid", str(holder.pid)], capture_output=True, text=True, check=False
        )
        return [line for line in text.stdout.split() if line.startswith("Z")]

    eventually(lambda: status(run, "a") == "SUCCEEDED" and not zombies())
    workspace.touch("gate")
    run.wait(timeout=60)


def test_python_is_not_needed_where_the_task_runs(workspace: ExpWorkspace) -> None:
    """A task may have an environment and a PATH of its own; only a shell is needed to run it."""
    task = {"command": ["/bin/sh", "-c", "echo $PATH"], "env": {"PATH": "/nowhere"}}
    run = workspace.start({"a": task})
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert log(run, "a") == "/nowhere\n"
    assert sys.executable not in attempt(run, "a").plan.read_text()
