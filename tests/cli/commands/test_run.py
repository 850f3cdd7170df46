from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.terminals import CTRL_C, Terminal

if TYPE_CHECKING:
    from support.workspace import Exp

HELLO = """
name: hello
tasks:
  a: {inline: echo hi}
  b: {inline: echo ho, dependencies: [a]}
"""
FAILING = """
name: failing
tasks:
  bad: {inline: "echo the reason >&2; exit 3"}
  after: {inline: echo never, dependencies: [bad]}
"""
WAITING = """
name: waiting
tasks:
  a: {inline: "touch begun; while [ ! -e go ]; do sleep 0.05; done; echo done"}
"""
DEAF = """
name: deaf
tasks:
  a: {inline: "trap '' TERM; touch begun; while [ ! -e go ]; do sleep 0.05; done", stop_grace: 1h}
"""
SECRETIVE = """
name: secret
secrets: {TOKEN: {env: TOKEN}, SPOKEN: {command: [echo, spoken-value]}}
run: {tail_logs: true}
tasks:
  a: {inline: 'echo "$TOKEN and $SPOKEN"'}
"""


def _begun(exp: Exp) -> None:
    eventually((exp.folder / "begun").exists)


def test_detach_prints_the_id_alone(exp: Exp) -> None:
    """`id=$(exp run -d)` gives the id of an experiment that has begun."""
    told = exp("run", exp.spec(HELLO), "--detach")
    (experiment_id,) = told.stdout.splitlines()
    assert exp.status(experiment_id)["started"] is not None
    assert "hint: " in told.stderr


def test_the_id_comes_before_every_message(exp: Exp) -> None:
    """Also before the warning of a login that will end the experiment, when both outputs are one pipe."""
    program = (
        "from types import SimpleNamespace as N; from nemorun_cli.system import login_session;"
        "login_session.danger = lambda: N(message='it ends', remedy='stay');"
        "from nemorun_cli.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "run", str(exp.spec(HELLO)), "-d"],
        cwd=exp.folder,
        env=exp.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith("hello_")
    assert second == "exp: warning: it ends; stay"
    exp("wait", first)


def test_the_spec_can_ask_to_detach_and_be_overruled(exp: Exp) -> None:
    """`run.detach` of the spec counts like `--detach`, unless `--no-detach` is given."""
    spec = exp.spec(HELLO + "run: {detach: true}\n")
    assert exp("run", spec).stdout.startswith("hello_")
    exp("wait")
    assert exp("run", spec, "--no-detach").stdout == ""


def test_watching_ends_with_the_exit_code_of_the_experiment(exp: Exp) -> None:
    """A FAILED experiment is exit code 1, with what failed, its exit code and the end of its log."""
    told = exp("run", exp.spec(FAILING), code=1)
    assert "bad: exit code 3" in told.stderr
    assert "| the reason" in told.stderr
    assert "after: SKIPPED" in told.stderr
    assert told.stdout == ""


def test_progress_is_a_line_for_each_change(exp: Exp) -> None:
    """Elsewhere than on a terminal each change of a task is a line on standard error."""
    lines = exp("run", exp.spec(HELLO)).stderr.splitlines()
    assert sum(line.startswith("a: SUCCEEDED") for line in lines) == 1
    assert sum(line.startswith("b: SUCCEEDED") for line in lines) == 1


def test_logs_are_led_by_their_task(exp: Exp) -> None:
    """With `--tail-logs` what tasks write goes to standard output, each line led by its task."""
    assert exp("run", exp.spec(HELLO), "--tail-logs").stdout == "a | hi\nb | ho\n"


def test_logs_make_way_for_the_document(exp: Exp) -> None:
    """With `--json` logs go to standard error and one document to standard output, at the end."""
    told = exp("run", exp.spec(HELLO), "--tail-logs", "--json")
    assert "a | hi" in told.stderr
    assert told.json["schema"] == "exp.run/1"
    assert told.json["status"] == "COMPLETED"
    assert told.json["tasks"] == ["a", "b"]
    assert "hint: " not in told.stderr


def test_detached_the_document_comes_at_once(exp: Exp) -> None:
    """With `-d --json` the document is printed while the experiment runs."""
    document = exp("run", exp.spec(WAITING), "-d", "--json").json
    assert document["status"] == "RUNNING"
    (exp.folder / "go").touch()
    exp("wait", document["id"])


def test_quiet_prints_the_id_only(exp: Exp) -> None:
    """`-q` leaves nothing but the id."""
    told = exp("run", exp.spec(FAILING), "-q", code=1)
    assert told.stdout.startswith("failing_")
    assert told.stderr == ""


def test_secrets_are_hidden_while_watching(exp: Exp) -> None:
    """What tasks write of their secrets is masked, those that came from a command too."""
    told = exp("run", exp.spec(SECRETIVE), env={"TOKEN": "value-of-token"})
    assert told.stdout == "a | *** and ***\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_and_waits(exp: Exp, number: signal.Signals) -> None:
    """The first Ctrl-C (or SIGTERM) cancels the experiment; the command ends with 5 when that is done."""
    process = exp.start("run", exp.spec(WAITING))
    _begun(exp)
    process.send_signal(number)
    assert process.wait(60) == 5
    process.communicate()
    assert exp.status()["status"] == "CANCELLED"


def test_a_second_signal_kills(exp: Exp) -> None:
    """What is deaf to the first Ctrl-C is killed at the second."""
    terminal = Terminal([*exp.argv, "run", str(exp.spec(DEAF))], env=exp.env, cwd=exp.folder)
    _begun(exp)
    terminal.type(CTRL_C)
    terminal.until("Ctrl-C again to kill")
    terminal.type(CTRL_C)
    assert terminal.end() == 5
    assert exp.task("a")["status"] == "CANCELLED"


def test_a_signal_cancels_what_lost_its_supervisor(exp: Exp) -> None:
    """Ctrl-C ends the tasks even if the supervisor was killed before."""
    process = exp.start("run", exp.spec(WAITING))
    _begun(exp)
    os.kill(exp.status()["supervisor"]["pid"], signal.SIGKILL)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 5
    process.communicate()


def test_closing_the_terminal_leaves_the_experiment_running(exp: Exp) -> None:
    """A hang-up ends the watching and nothing else."""
    terminal = Terminal([*exp.argv, "run", str(exp.spec(WAITING))], env=exp.env, cwd=exp.folder)
    _begun(exp)
    terminal.until("RUNNING")
    assert terminal.hang_up() != 0
    assert exp.status()["status"] == "RUNNING"
    (exp.folder / "go").touch()
    exp("wait")


def test_a_reader_that_leaves_ends_only_the_watching(exp: Exp) -> None:
    """`exp run --tail-logs | head -1` leaves the experiment to its supervisor."""
    line = '"$0" run "$1" --tail-logs --set tasks.b.inline="sleep 0.3; echo ho" | head -n 1'
    argv = ["sh", "-c", line, *exp.argv, str(exp.spec(HELLO))]
    done = subprocess.run(
        argv, env=exp.env, cwd=exp.folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "a | hi\n"
    exp("wait")


def test_a_terminal_shows_what_runs(exp: Exp) -> None:
    """On a terminal a live display names what runs and counts what is over."""
    spec = str(exp.spec(WAITING))
    terminal = Terminal([*exp.argv, "run", spec, "--tail-logs"], env=exp.env, cwd=exp.folder)
    terminal.until("0 of 1 finished")
    (exp.folder / "go").touch()
    terminal.until("done")
    terminal.until("COMPLETED")
    assert terminal.end() == 0


def test_nothing_is_inherited(exp: Exp) -> None:
    """`exp run -d | cat` returns at once, whatever descriptors the shell has open."""
    line = '"$0" run "$1" -d 3>&1 | cat'
    argv = ["sh", "-c", line, *exp.argv, str(exp.spec(WAITING))]
    done = subprocess.run(
        argv, env=exp.env, cwd=exp.folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert exp.status(done.stdout.strip())["status"] == "RUNNING"
    (exp.folder / "go").touch()
    exp("wait")


def test_dry_run_creates_nothing(exp: Exp) -> None:
    """`--dry-run` shows command, script and environment of each task, and leaves no trace."""
    spec = exp.spec(SECRETIVE + "  b: {command: [echo, \"it's\"], dependencies: [a], env: {X: '1'}}\n")
    shown = exp("run", spec, "--dry-run", env={"TOKEN": "value-of-token"}).stdout
    assert '| echo "$TOKEN and $SPOKEN"' in shown
    assert "TOKEN='***'" in shown
    assert "value-of-token" not in shown
    assert "spoken-value" not in shown
    assert "echo 'it'\"'\"'s'" in shown
    assert "X=1" in shown
    assert not exp.home.exists()


def test_dry_run_tells_what_an_engine_is_told(exp: Exp) -> None:
    """Options are shown as a shell would take them, and what is no list of words as JSON."""
    spec = exp.spec("""
        name: told
        executors:
          cluster: {type: slurm, comment: a b, time: "01:00:00"}
          box: {type: docker, image: there/is:none}
        tasks:
          a: {command: [train], executor: cluster}
          b: {command: [train], executor: box}
    """)
    shown = exp("run", spec, "--dry-run").stdout
    (line,) = (line for line in shown.splitlines() if "sbatch:" in line)
    assert {"--comment=a b", "--time=01:00:00"} <= set(shlex.split(line))
    assert 'create:   {"image": "there/is:none", ' in shown


def test_dry_run_needs_no_secrets(exp: Exp) -> None:
    """A secret that is not set keeps nobody from seeing what would run."""
    document = exp("run", exp.spec(SECRETIVE), "--dry-run", "--json").json
    assert document["schema"] == "exp.plan/1"
    assert sorted(document["tasks"][0]["secrets"]) == ["SPOKEN", "TOKEN"]


def test_dry_run_tells_the_order_and_what_comes_later(exp: Exp) -> None:
    """A task stands behind those it needs, and expressions of outputs are named as filled in later."""
    spec = exp.spec(
        "tasks:\n  z: {inline: 'echo ${{ tasks.a.outputs.n }}', dependencies: [a]}\n  a: {inline: 'true'}\n"
    )
    document = exp("run", spec, "--dry-run", "--json").json
    assert [task["id"] for task in document["tasks"]] == ["a", "z"]
    assert document["tasks"][1]["late"]
    assert document["tasks"][0]["late"] == []


def test_a_missing_secret_creates_nothing(exp: Exp) -> None:
    """A secret that is not set is a problem of the spec, told before anything is created."""
    (problem,) = exp("run", exp.spec(SECRETIVE), "--json", code=2).json["problems"]
    assert "TOKEN" in problem["message"]
    assert problem["file"].endswith(".yaml")
    assert problem["line"]
    assert problem["column"]
    assert not (exp.home / "experiments").exists()


def test_a_key_is_not_run_twice(exp: Exp) -> None:
    """With `--key` a second start is refused, skipped, or replaces the first, as `--if-running` says."""
    spec = exp.spec(WAITING)
    first = exp("run", spec, "-d", "--key", "k").stdout.strip()
    assert first in exp("run", spec, "-d", "--key", "k", code=8).stderr
    skipped = exp("run", spec, "--key", "k", "--if-running", "skip")
    assert skipped.stdout.strip() == first
    second = exp("run", spec, "-d", "--key", "k", "--if-running", "replace").stdout.strip()
    assert exp.status(first)["status"] == "CANCELLED"
    assert exp.status(second)["key"] == "k"
    exp("cancel", second)


def test_if_running_is_a_closed_list(exp: Exp) -> None:
    """Another word than fail, skip or replace is wrong usage."""
    assert "replace" in exp("run", exp.spec(HELLO), "--if-running", "maybe", code=2).stderr


def test_sequential_chains_the_tasks(exp: Exp) -> None:
    """`--sequential` makes each task wait for the one before it."""
    spec = exp.spec("name: seq\ntasks:\n  a: {command: 'true'}\n  b: {command: 'true'}\n")
    exp("run", spec, "--sequential")
    assert exp.task("b")["dependencies"] == ["a"]
    exp("run", spec)
    assert exp.task("b")["dependencies"] == []


def test_params_and_fields_can_be_given(exp: Exp) -> None:
    """`-p` gives a param its value and `--set` changes a field."""
    spec = exp.spec("params: {n: 1}\ntasks: {a: {inline: 'echo ${{ params.n }} $X'}}\n")
    exp("run", spec, "-p", "n=7", "--set", "tasks.a.env.X=y")
    assert exp("logs", "latest", "a").stdout == "7 y\n"


def test_two_at_once_do_not_meet(exp: Exp) -> None:
    """Two starts in one second are two experiments."""
    spec = exp.spec(HELLO)
    processes = [exp.start("run", spec, "-d") for _ in range(4)]
    ids = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert len(ids) == 4
    for one in ids:
        exp("wait", one)


def test_direct_runs_on_the_terminal(exp: Exp) -> None:
    """`--direct` gives the tasks the command's own input and output, and ends like a watched run."""
    spec = exp.spec("name: direct\ntasks: {a: {inline: 'read line; echo got $line; exit 4'}}\n")
    told = exp("run", spec, "--direct", stdin="this\n", code=1)
    assert "got this" in told.stdout
    assert "a: exit code 4" in told.stderr


PRINTING = """
name: printing
tasks:
  shell:
    inline: 'echo loss 0.5; echo oops >&2; if [ -t 1 ]; then echo terminal; fi'
    metrics: {train: 'loss (?P<loss>\\S+)'}
  apart: {inline: 'echo out; echo err >&2', stderr_to_stdout: false, dependencies: [shell]}
  partial: {partial: "printing:prints", metrics: {train: 'loss (?P<loss>\\S+)'}, dependencies: [apart]}
"""
PRINTS = """
import os, subprocess, sys

def prints():
    print("loss 0.25")
    os.write(2, b"raw\\n")
    print("x" * 200_000, flush=True)
    subprocess.run(["echo", "child"])
    if sys.stdout.isatty():
        breakpoint()
        print("terminal")
"""


def test_direct_keeps_the_output(exp: Exp) -> None:
    """What tasks print goes where the command prints, apart as there, to their logs, and into metrics."""
    exp.spec(PRINTS, "printing.py")
    told = exp("run", exp.spec(PRINTING), "--direct")

    written, errors = told.stdout.splitlines(), told.stderr.splitlines()
    assert [line[:9] for line in written] == ["loss 0.5", "out", "loss 0.25", "x" * 9, "child"]
    assert errors[:3] == ["oops", "err", "raw"]
    assert sorted(exp("logs", "latest", "shell").stdout.split()) == ["0.5", "loss", "oops"]
    assert exp("logs", "latest", "apart").stdout == "out\n"
    assert exp("logs", "latest", "apart", "--stderr").stdout == "err\n"
    kept = exp("logs", "latest", "partial").stdout
    assert len(kept) == len("loss 0.25\nraw\n\nchild\n") + 200_000
    series = exp("metrics", "latest", "--json").json["series"]
    found = {entry["task"]: entry["rows"][0]["loss"] for entry in series}
    assert found == {"shell": 0.5, "partial": 0.25}


def test_direct_is_still_on_the_terminal(exp: Exp) -> None:
    """Tasks see a terminal of the same size, a debugger reads from it, and the log has what it showed."""
    exp.spec(PRINTS.replace("200_000", "stty_size()") + STTY, "printing.py")
    terminal = Terminal([*exp.argv, "run", str(exp.spec(PRINTING)), "--direct"], env=exp.env, cwd=exp.folder)
    terminal.until("(Pdb)")
    terminal.type(b"p 6*7\n")
    terminal.until("42")
    terminal.type(b"c\n")
    assert terminal.end() == 0
    assert exp("logs", "latest", "shell").stdout.splitlines() == ["loss 0.5", "oops", "terminal"]
    kept = exp("logs", "latest", "partial").stdout
    assert "x" * 120 in kept
    assert kept.endswith("terminal\n")
    assert "\r" not in kept.replace("\r\n", "")


STTY = """

def stty_size():
    return os.get_terminal_size(1).columns
"""


def test_a_problem_starts_no_supervisor(exp: Exp) -> None:
    """A spec that is refused leaves no process and no folder behind."""
    exp("run", exp.spec("tasks: {a: {inlin: x}}\n"), code=2)
    assert not exp.home.exists()


def test_documents_of_a_run_can_be_read_by_scripts(exp: Exp) -> None:
    """The last line of `exp run --json` is a document even if the experiment failed."""
    told = exp("run", exp.spec(FAILING), "--json", code=1)
    assert json.loads(told.stdout)["status"] == "FAILED"


def test_quiet_keeps_logs_from_the_id(exp: Exp) -> None:
    """With -q standard output is the id alone; logs that are asked for go to standard error."""
    told = exp("run", exp.spec("name: a\ntasks: {one: {inline: echo said}}"), "-q", "--tail-logs")
    assert told.stdout == f"{exp.status()['id']}\n"
    assert told.stderr == "one | said\n"


def test_a_retry_is_told_with_what_failed(exp: Exp) -> None:
    """Who watches hears how the attempt before a retry ended."""
    spec = exp.spec("name: a\ntasks: {one: {inline: 'exit $((4 - EXP_ATTEMPT))', retry: {limit: 1}}}")
    told = exp("run", spec, code=1).stderr
    assert "one: attempt 1 failed: exit code 3; attempt 2 follows" in told
