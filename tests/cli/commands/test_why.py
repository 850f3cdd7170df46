from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.formats import checked
from support.patience import eventually
from support.workspace import kill_supervisor, until

from nemorun_cli.experiment.run import Run
from nemorun_cli.storage.events import UNKNOWN
from nemorun_cli.storage.ledger import Ledger
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from support.workspace import Exp, ExpWorkspace


def explained(exp: Exp, task: str) -> dict[str, Any]:
    """Why one task of the latest experiment is where it is."""
    (entry,) = exp("why", "latest", task, "--json").json["tasks"]
    return dict(entry)


def kinds(entry: dict[str, Any]) -> list[str]:
    """The words for its causes."""
    return [cause["kind"] for cause in entry["causes"]]


def test_why_names_the_dependency_that_a_task_waits_for(workspace: ExpWorkspace) -> None:
    """A task that waits names each dependency that is not over, and how that stands."""
    run = workspace.start(
        {
            "over": "true",
            "slow": until("go"),
            "waits": {"command": "echo", "dependencies": ["over", "slow"]},
        }
    )
    eventually(lambda: workspace.exp.task("slow")["status"] == "RUNNING")
    eventually(lambda: workspace.exp.task("over")["status"] == "SUCCEEDED")
    (cause,) = explained(workspace.exp, "waits")["causes"]
    assert (cause["kind"], cause["task"], cause["status"]) == ("dependency", "slow", "RUNNING")
    assert "it waits for slow, which is RUNNING" in workspace.exp("why", run.id, "waits").stdout
    assert explained(workspace.exp, "waits")["resume"] is None
    run.cancel()


def test_why_names_the_limit_that_a_task_waits_for(workspace: ExpWorkspace) -> None:
    """A task that waits for a slot is told how many there are, by what, and who has them."""
    run = workspace.start({"first": until("go"), "second": until("go")}, run={"max_parallel": 1})
    eventually(lambda: workspace.exp.task("first")["status"] == "RUNNING")
    entry = explained(workspace.exp, "second")
    assert kinds(entry) == ["slots"]
    assert "1 may run at once (run.max_parallel), and 1 do: first" in entry["causes"][0]["message"]
    run.cancel()


def test_why_tells_how_long_a_retry_is_delayed(workspace: ExpWorkspace) -> None:
    """A task that waits for its next attempt is told when that is due."""
    run = workspace.start({"flaky": {"inline": "exit 3", "retry": {"limit": 1, "delay": "1h"}}})
    eventually(lambda: workspace.exp.task("flaky")["attempt"] == 2)
    entry = explained(workspace.exp, "flaky")
    assert kinds(entry) == ["delay", "retried"]
    assert entry["causes"][0]["time"] > entry["created"]
    assert [(one["attempt"], one["status"], one["exit_code"]) for one in entry["attempts"]] == [
        (1, "FAILED", 3)
    ]
    run.cancel()


def test_why_tells_what_a_failed_task_wrote_last(exp: Exp) -> None:
    """The last twenty lines of its log, and the line with which the traceback ends."""
    lines = "for i in range(30): print('line', i, flush=True)"
    (exp.folder / "breaks.py").write_text(f"{lines}\nraise ValueError('no such luck')\n")
    exp("run", exp.spec("name: a\ntasks: {breaks: {command: [python3, breaks.py]}}"), code=1)
    entry = explained(exp, "breaks")
    assert (entry["status"], entry["reason"], entry["exit_code"]) == ("FAILED", "exit", 1)
    assert entry["log"]["error"] == "ValueError: no such luck"
    assert len(entry["log"]["lines"]) == 20
    assert entry["log"]["lines"][-1] == "ValueError: no such luck"
    shown = exp("why", "latest", "breaks").stdout
    assert "likely cause: ValueError: no such luck" in shown
    assert "  | line 29\n" in shown


def test_why_finds_an_error_that_is_no_traceback(exp: Exp) -> None:
    """Without a traceback the last line that speaks of trouble is named, and none if there is none."""
    exp(
        "run",
        exp.spec(
            "name: a\ntasks:\n"
            "  speaks: {inline: 'echo fine; echo \"fatal: no space\"; echo bye; exit 2'}\n"
            "  silent: {inline: 'echo so; exit 2'}\n"
        ),
        code=1,
    )
    assert explained(exp, "speaks")["log"]["error"] == "fatal: no space"
    assert explained(exp, "silent")["log"]["error"] is None


def test_why_names_the_signal(exp: Exp) -> None:
    """A death by signal is told by its name."""
    exp("run", exp.spec("name: a\ntasks: {dies: {inline: kill -9 $$}}"), code=1)
    entry = explained(exp, "dies")
    assert (entry["reason"], entry["exit_code"], entry["signal"]) == ("signal", 137, "SIGKILL")
    assert "killed by SIGKILL" in exp("why", "latest", "dies").stdout


def test_why_says_why_a_failure_is_not_retried(exp: Exp) -> None:
    """Retries that are used up, and failures that `retry.on` does not name, are told apart."""
    spec = exp.spec(
        "name: a\ntasks:\n"
        "  often: {inline: exit 3, retry: {limit: 2}}\n"
        "  other: {inline: exit 3, retry: {limit: 2, on: [4, timeout]}}\n"
    )
    exp("run", spec, code=1)
    assert "2 of 2 retries are used" in exp("why", "latest", "often").stdout
    assert len(explained(exp, "often")["attempts"]) == 3
    assert "retry.on (4, timeout) does not name this failure" in exp("why", "latest", "other").stdout


def test_why_follows_a_skip_up_to_its_cause(exp: Exp) -> None:
    """A skipped task leads up the chain to the one that went wrong first."""
    tasks = ["  t0: {inline: exit 7}"]
    tasks += [f"  t{i}: {{command: [echo], dependencies: [t{i - 1}]}}" for i in range(1, 4)]
    exp("run", exp.spec("name: a\ntasks:\n" + "\n".join(tasks)), code=1)
    entry = explained(exp, "t3")
    assert (entry["causes"][0]["kind"], entry["causes"][0]["task"]) == ("dependency", "t2")
    assert [(link["task"], link["status"]) for link in entry["chain"]] == [
        ("t2", "SKIPPED"),
        ("t1", "SKIPPED"),
        ("t0", "FAILED"),
    ]
    assert "because t0 failed with exit code 7" in exp("why", "latest", "t3").stdout


def test_why_tells_a_false_condition_and_a_limit(exp: Exp) -> None:
    """Tasks that are skipped by their `when` and by `run.max_failures` are told by what."""
    spec = exp.spec(
        "name: a\nrun: {max_failures: 1, max_parallel: 1}\ntasks:\n"
        "  unwanted: {command: [echo], when: false}\n"
        "  bad: {inline: exit 1}\n"
        "  rest: {command: [echo], dependencies: [bad], dependency_type: afterany}\n"
    )
    exp("run", spec, code=1)
    assert kinds(explained(exp, "unwanted")) == ["when"]
    assert kinds(explained(exp, "rest")) == ["limit"]
    assert "run.max_failures" in exp("why", "latest", "rest").stdout


def test_why_tells_who_cancelled(workspace: ExpWorkspace) -> None:
    """A cancelled task names who asked for it, and when; before it is gone, that it is under way."""
    run = workspace.start({"slow": f"trap '' TERM; {until('go')}", "other": until("go")})
    eventually(lambda: workspace.exp.task("slow")["status"] == "RUNNING")
    with workspace.exp.start("cancel", run.id, "slow") as asking:
        entry = eventually(
            lambda: "cancelled" in kinds(found := explained(workspace.exp, "slow"))[-1:] and found
        )
        assert "(exp cancel)" in entry["causes"][-1]["by"]
        workspace.touch("go")
        asking.communicate(timeout=60)
    entry = explained(workspace.exp, "slow")
    assert (entry["status"], kinds(entry)) == ("CANCELLED", ["cancelled"])
    assert "(exp cancel)" in entry["causes"][0]["by"]
    run.wait(timeout=60)


def test_why_tells_of_an_engine_that_does_not_answer(workspace: ExpWorkspace) -> None:
    """UNKNOWN comes with its age, what was heard last, and by what it is known."""
    run = workspace.start({"slow": until("go")})
    eventually(lambda: workspace.exp.task("slow")["status"] == "RUNNING")
    fields = {"task": "slow", "attempt": 1, "message": "it is busy", "evidence": "a cable"}
    event = {"event": UNKNOWN, "time": "2026-01-01T00:00:00.000Z", "by": "a test", **fields}
    Ledger(run.files.ledger, run.files.ledger_lock).append([event])
    entry = explained(workspace.exp, "slow")
    assert (entry["status"], kinds(entry)) == ("UNKNOWN", ["unknown"])
    assert entry["causes"][0]["time"] == event["time"]
    assert "it is busy" in entry["causes"][0]["message"]
    assert "known by a cable" in entry["causes"][0]["message"]
    run.cancel()


def test_why_tells_of_a_dead_supervisor(workspace: ExpWorkspace) -> None:
    """Where nothing can start a task any more, that is the cause, and the remedy is named."""
    run = workspace.start({"slow": until("go"), "waits": {"command": "echo", "dependencies": ["slow"]}})
    eventually(lambda: workspace.exp.task("slow")["status"] == "RUNNING")
    kill_supervisor(run)
    entry = explained(workspace.exp, "waits")
    assert kinds(entry) == ["supervisor", "dependency"]
    assert entry["resume"]["action"] == "wait"
    assert f"exp resume {run.id}" in workspace.exp("why", run.id, "waits").stdout
    run.cancel()


def test_why_tells_what_a_resume_would_do(exp: Exp) -> None:
    """Of what is over: whether a resume keeps it or runs it again, and as which attempt."""
    tasks = "well: {command: [echo]}, bad: {inline: exit 1}, after: {command: [echo], dependencies: [bad]}"
    exp("run", exp.spec(f"name: a\ntasks: {{{tasks}}}"), code=1)
    assert explained(exp, "well")["resume"]["action"] == "keep"
    decision = explained(exp, "bad")["resume"]
    assert (decision["action"], decision["attempt"]) == ("run", 2)
    assert "runs it again, as attempt 2" in exp("why", "latest", "bad").stdout
    assert "runs it: " in exp("why", "latest", "after").stdout, "it never ran"


def test_why_masks_secrets(exp: Exp) -> None:
    """A secret that a task printed is not shown, even where the part of the log that is read begins in it."""
    hidden = "correct-horse-battery"
    noise = "for i in $(seq 2000); do echo padding-of-some-fifty-characters-in-every-single-line; done"
    spec = exp.spec(
        "name: a\nsecrets: {KEY: {env: MY_KEY}}\ntasks:\n"
        f"  tells: {{inline: '{noise}; echo \"error: $KEY\"; exit 1'}}\n"
        '  floods: {inline: \'for i in $(seq 9000); do printf "%s" "$KEY"; done; exit 1\'}\n'
    )
    env = {"MY_KEY": hidden}
    exp("run", spec, env=env, code=1)
    for task in ("tells", "floods"):
        shown = exp("why", "latest", task, env=env)
        assert "***" in shown.stdout
        assert hidden not in shown.stdout + exp("why", "latest", task, "--json", env=env).stdout
    assert "horse" not in exp("why", "latest", "floods", "--json", env=env).stdout


def test_why_shows_nothing_that_rewrites_the_terminal(exp: Exp) -> None:
    """Progress bars are shown as they were left, and control characters not at all."""
    text = r"printf 'at 1%%\rat 99%%\r\n\033[31mred\033[0m\007\n'; exit 1"
    (exp.folder / "bar.sh").write_text(text)
    exp("run", exp.spec("name: a\ntasks: {bar: {script: bar.sh}}"), code=1)
    assert explained(exp, "bar")["log"]["lines"] == ["at 99%", r"red\x07"]


def test_why_takes_a_group(exp: Exp) -> None:
    """A group is explained member by member."""
    spec = exp.spec("name: a\ntasks: {both: {group: [{command: [echo]}, {inline: exit 1}]}}")
    exp("run", spec, code=1)
    document = exp("why", "latest", "both", "--json").json
    assert [(task["id"], task["status"]) for task in document["tasks"]] == [
        ("both/0", "SUCCEEDED"),
        ("both/1", "FAILED"),
    ]


def test_why_of_a_task_that_is_not_there(exp: Exp) -> None:
    """An unknown task is exit code 3, and those that there are are named."""
    exp("run", exp.spec("name: a\ntasks: {train: {command: [echo]}}"))
    assert "did you mean 'train'?" in exp("why", "latest", "trian", code=3).stderr


def test_why_without_a_log(exp: Exp) -> None:
    """A task whose attempt was removed is still explained from the ledger."""
    exp("run", exp.spec("name: a\ntasks: {bad: {inline: exit 4}}"), code=1)
    run = Run(Home(exp.home).experiment(exp.directory().name), Home(exp.home))  # type: ignore[arg-type]
    run.files.attempt("bad", 1).log.unlink()
    entry = explained(exp, "bad")
    assert (entry["log"], entry["exit_code"]) == (None, 4)


def test_why_without_a_task_explains_what_is_worst(workspace: ExpWorkspace) -> None:
    """What failed before what was left out because of that, and that before what waits."""
    left = {"inline": "true", "dependencies": ["bad"]}
    run = workspace.start({"good": "true", "bad": "exit 3", "left": left, "slow": until("go")})
    eventually(lambda: workspace.exp.task("left")["status"] == "SKIPPED")
    assert workspace.exp("why", run.id).stdout.startswith("bad is FAILED\n  it failed with exit code 3\n")
    assert [one["id"] for one in workspace.exp("why", run.id, "--json").json["tasks"]] == ["bad"]
    run.cancel()
    tasks = {f"t{number}": "exit 4" for number in range(5)}
    workspace.run({**tasks, "other": "exit 5"})
    told = workspace.exp("why", "latest").stdout.splitlines()
    assert told[0] == "6 tasks are FAILED"
    assert "exit code 4" in told[1]
    workspace.run({"good": "true"})
    done = workspace.exp("why", "latest")
    assert (done.stdout, "nothing to explain" in done.stderr) == ("", True)


def test_why_names_the_line_that_ended_an_inline_text(exp: Exp) -> None:
    """In `why`, in the summary of `run` and for the members of a sweep; a secret in the line is masked."""
    spec = """\
name: lines
secrets: {TOKEN: {env: TOKEN}}
tasks:
  lone:
    inline: |
      echo fine
      test secret-word = "$1"
  pipe: {inline: yes | head -n 1 >/dev/null}
  sweep: {inline: 'test "$1" = 9', args: ["${{ matrix.x }}"], matrix: {x: [1, 2]}}
  noisy: {inline: "echo FatalError: broken; false"}
  fake: {inline: 'printf "3 7 \\033]0;x\\n" > "${0%/*}/failed-line"; exit 3'}
"""
    env = {"TOKEN": "secret-word"}
    told = exp("run", exp.spec(spec), code=1, env=env).stderr
    assert '    its inline text ended at line 2: test *** = "$1"\n' in told
    assert 'exit code 1 at line 1: test "$1" = 9  (sweep/x=1, sweep/x=2)\n' in told
    entry = checked(exp("why", "latest", "lone", "--json", env=env).json)["tasks"][0]
    assert entry["failed_line"] == {"line": 2, "file": None, "text": 'test *** = "$1"'}
    assert kinds(entry)[:2] == ["exit", "line"]
    assert (
        '  its inline text ended at line 2: test *** = "$1"\n' in exp("why", "latest", "lone", env=env).stdout
    )

    pipe = explained(exp, "pipe")
    assert (pipe["exit_code"], kinds(pipe)[:3]) == (141, ["signal", "line", "pipe"])
    assert "| head -1" in exp("why", "latest", "pipe").stdout
    (failure,) = exp("why", "latest", "sweep", "--json").json["failures"]
    assert failure["message"] == 'exit code 1 at line 1: test "$1" = 9'
    shown = exp("why", "latest", "fake").stdout
    assert "its inline text ended at line 7 of " in shown
    assert "\033" not in shown
    assert "likely cause: FatalError: broken" in exp("why", "latest", "noisy").stdout


def test_why_is_bounded_for_people_and_whole_for_scripts(workspace: ExpWorkspace) -> None:
    """Of many dependencies, of a long chain and of many tasks a few lines are shown, and how many more."""
    wide = {f"w{i}": {"command": "true", "dependencies": ["slow"]} for i in range(40)}
    deep = {f"d{i}": {"command": "true", "dependencies": [f"d{i - 1}" if i else "fails"]} for i in range(40)}
    tasks = {"slow": until("go"), "fails": "exit 3", **wide, **deep}
    run = workspace.start({**tasks, "join": {"command": "true", "dependencies": list(wide)}})
    eventually(lambda: workspace.exp.task("d39")["status"] == "SKIPPED")
    lines = workspace.exp("why", run.id, "join").stdout.splitlines()
    assert len(lines) < 20
    assert any("and 30 more" in line for line in lines)
    assert len(explained(workspace.exp, "join")["causes"]) == 40
    lines = workspace.exp("why", run.id, "d39").stdout.splitlines()
    assert len(lines) < 20
    assert max(map(len, lines)) < 160
    assert any("and 30 more" in line for line in lines)
    assert any("fails failed with exit code 3" in line for line in lines)
    assert len(explained(workspace.exp, "d39")["chain"]) == 40
    assert "40 tasks: 40 PENDING" in workspace.exp("why", run.id, "w*").stdout
    assert len(workspace.exp("why", run.id, "w*", "--json").json["tasks"]) == 40
    run.cancel()
