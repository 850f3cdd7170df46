"""Promise 10: secrets are in no file of ours, no argument list, no environment of ours and no document."""

from __future__ import annotations

import json
import os
import random
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.patience import eventually
from support.workspace import NOTE, attempt, events, is_running, kill_supervisor, shim_pid, until

from nemorun_cli.errors import SpecError
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import ExpWorkspace

VALUES = {
    "FROM_ENV": "vëry-secret-env-$'\"",
    "FROM_FILE": "very-secret-file",
    "FROM_COMMAND": "very-secret-command",
}
CHECK = "; ".join(f'[ "$(printf %s "${name}" | cksum)" = "$(cksum <{name}.expected)" ]' for name in VALUES)


@pytest.fixture
def secrets(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Three secrets, each from another source, and what a task may know to check them."""
    monkeypatch.setenv("OUTER", VALUES["FROM_ENV"])
    (workspace.folder / "token").write_text(VALUES["FROM_FILE"] + "\n")
    (workspace.folder / "parts").write_text("very-secret-\ncommand\n")
    outside = workspace.folder
    for name, value in VALUES.items():
        (outside / f"{name}.expected").write_text(value)
    return {
        "FROM_ENV": {"env": "OUTER"},
        "FROM_FILE": {"file": "token"},
        "FROM_COMMAND": {"command": ["sh", "-c", "tr -d '\\n' <parts"]},
    }


def found_in(home: Path) -> list[tuple[str, str]]:
    """The files and names under a home that hold a secret."""
    found = []
    for path in home.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        found += [
            (str(path), name)
            for name, value in VALUES.items()
            if value.encode() in data or value in str(path)
        ]
    return found


def test_secrets_reach_the_task_and_nothing_else(workspace: ExpWorkspace, secrets: dict[str, Any]) -> None:
    """They are in no file under the home, no argument list, and no environment but the task's own."""
    run = workspace.start({"a": f"set -e; {CHECK}; : >checked; {until('gate')}"}, secrets=secrets)
    eventually((workspace.folder / "checked").exists)
    shim = shim_pid(run, "a")
    assert found_in(workspace.home.directory) == []
    holder = run.status().holder
    assert holder is not None
    own = psutil.Process(holder.pid).environ().values()
    assert not set(VALUES.values()) & set(own)
    for process in psutil.process_iter():
        try:
            line = "\0".join(process.cmdline())
        except psutil.Error:
            continue
        assert not [name for name, value in VALUES.items() if value in line], process
    assert {VALUES["FROM_FILE"], VALUES["FROM_COMMAND"]} <= set(psutil.Process(shim).environ().values())
    workspace.touch("gate")
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert found_in(workspace.home.directory) == []


@pytest.mark.parametrize("command", ["status", "show", "events", "why", "graph", "list"])
def test_secrets_are_in_no_document(workspace: ExpWorkspace, secrets: dict[str, Any], command: str) -> None:
    """No report, for people or as JSON, holds one."""
    run = workspace.run({"a": "exit 1"}, secrets=secrets)
    which = {"why": [run.files.id, "a"], "list": []}.get(command, [run.files.id])
    for form in ([], ["--json"]):
        done = workspace.exp(command, *which, *form, code=None)
        assert not [name for name, value in VALUES.items() if value in done.stdout + done.stderr]


def test_secrets_are_in_no_dry_run(workspace: ExpWorkspace, secrets: dict[str, Any]) -> None:
    """A dry run names them and shows none; the command that would print one is not run."""
    secrets["FROM_COMMAND"] = {"command": ["sh", "-c", "echo ran >>ran"]}
    spec = workspace.spec({"a": ":"}, secrets=secrets)
    for form in ([], ["--json"]):
        done = workspace.exp("run", spec, "--dry-run", *form)
        assert "FROM_FILE" in done.stdout
        assert not [name for name, value in VALUES.items() if value in done.stdout + done.stderr]
    assert workspace.lines() == []


def test_secrets_are_masked_in_what_is_shown(workspace: ExpWorkspace, secrets: dict[str, Any]) -> None:
    """A log is the task's own; what `exp` shows of it hides the values it knows."""
    spec = workspace.spec({"a": 'echo "it is $FROM_FILE and $FROM_COMMAND!"'}, secrets=secrets)
    done = workspace.exp("run", spec, "--tail-logs")
    assert "it is *** and ***!" in done.stdout + done.stderr
    assert "it is *** and" in workspace.exp("logs", "latest", "a").stdout


@pytest.mark.parametrize("form", ["k=$FROM_FILE", 'k:={"deep": ["$FROM_FILE"]}', 'k:={"$FROM_FILE": 1}'])
@pytest.mark.parametrize("supervised", [True, False])
def test_output_that_is_a_secret_is_refused(
    workspace: ExpWorkspace,
    secrets: dict[str, Any],
    form: str,
    supervised: bool,  # noqa: FBT001
) -> None:
    """A task whose output is a secret fails, and the value is in no ledger, whoever sees it end."""
    del secrets["FROM_COMMAND"]
    text = form.replace('"', '\\"')
    run = workspace.start({"a": f'{until("gate")}; echo "{text}" >>"$EXP_OUTPUT"'}, secrets=secrets)
    shim = shim_pid(run, "a")
    if not supervised:
        kill_supervisor(run)
    workspace.touch("gate")
    eventually(lambda: not is_running(shim))
    state = eventually(lambda: (found := run.status().history.tasks["a"]).is_over and found)
    assert (state.status, state.reason, state.outputs) == ("FAILED", "outputs", {})
    assert VALUES["FROM_FILE"] not in run.files.ledger.read_text()
    eventually(lambda: run.status().is_over)


def test_output_that_might_be_a_secret_is_written_down_by_nobody_who_cannot_tell(
    workspace: ExpWorkspace, secrets: dict[str, Any]
) -> None:
    """Without the values a look only shows how it ended; a resume, which has them, refuses the output."""
    run = workspace.start(
        {"a": f'{until("gate")}; echo "k=$FROM_COMMAND" >>"$EXP_OUTPUT"', "b": NOTE},
        secrets=secrets, run={"max_parallel": 1},
    )  # fmt: skip
    shim = shim_pid(run, "a")
    kill_supervisor(run)
    workspace.touch("gate")
    eventually(lambda: not is_running(shim))
    assert run.status().history.tasks["a"].is_over
    assert VALUES["FROM_COMMAND"] not in run.files.ledger.read_text()
    run.resume()
    final = run.wait(timeout=60)
    assert VALUES["FROM_COMMAND"] not in run.files.ledger.read_text()
    assert workspace.lines() == ["b 1"]
    assert {
        event.get("reason") for event in events(run) if event["event"] == "ended" and event["task"] == "a"
    } == {"outputs"}
    assert final.history.tasks["a"].outputs == {}


def test_missing_secret_starts_nothing(
    workspace: ExpWorkspace, secrets: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that cannot be had are named at once, before anything is created."""
    monkeypatch.delenv("OUTER")
    (workspace.folder / "token").unlink()
    with pytest.raises(SpecError) as caught:
        workspace.start({"a": NOTE}, secrets=secrets)
    told = " ".join(problem.message for problem in caught.value.problems)
    assert "FROM_ENV" in told
    assert "FROM_FILE" in told
    assert "FROM_COMMAND" not in told
    assert workspace.lines() == []
    assert not workspace.home.experiments.exists()
    monkeypatch.setenv("OUTER", "x")


def test_resume_asks_for_secrets_again(workspace: ExpWorkspace, secrets: dict[str, Any]) -> None:
    """A resume gets them anew, names what is missing, and changes nothing in that case."""
    run = workspace.start({"a": f"{NOTE}; exit 1"}, secrets=secrets)
    run.wait(timeout=60)
    token = (workspace.folder / "token").read_text()
    (workspace.folder / "token").unlink()
    before = run.files.ledger.read_bytes()
    eventually(lambda: run.files.ledger.read_bytes() == before or True)
    with pytest.raises(SpecError):
        run.resume()
    (workspace.folder / "token").write_text(token)
    assert run.resume()
    run.wait(timeout=60)
    assert workspace.lines() == ["a 1", "a 2"]


def test_plan_holds_names_only(workspace: ExpWorkspace, secrets: dict[str, Any]) -> None:
    """What is kept of a secret is where it comes from and what it is called."""
    run = workspace.start({"a": ":"}, secrets=secrets)
    run.wait(timeout=60)
    plan = json.loads(attempt(run, "a").plan.read_text())
    assert sorted(plan["secrets"]) == sorted(VALUES)
    assert not set(VALUES) & plan["env"].keys()
    assert find(run.id, home=workspace.home).spec().secrets.keys() == VALUES.keys()


# -- what each task inherits ------------------------------------------------------------------------------

SEES = 'printf "%s\\n" "$EXP_TASK [$PLAIN] [$FIRST] [$OTHER_TOKEN]" >>"$OLDPWD_OF_TEST/seen"'


def _mixed(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Tasks with a secret, without it, and with its variable by name; and one that names all variables."""
    monkeypatch.setenv("PLAIN", "plain-secret-1")  # a name that looks like no secret
    monkeypatch.setenv("OTHER_TOKEN", "no-secret-of-ours")  # one that looks like a secret, and is none
    monkeypatch.setenv("OLDPWD_OF_TEST", str(workspace.folder))
    return {
        "own": {"inline": SEES, "secrets": {"FIRST": {"env": "PLAIN"}}},
        "other": {"inline": f"{SEES}; {until('gate')}"},
        "named": {"inline": SEES, "env_inherit": ["PATH", "OLDPWD_OF_TEST", "PLAIN"]},
        "bare": {"inline": SEES, "env_inherit": ["PATH", "OLDPWD_OF_TEST"]},
    }


SEEN = [
    "bare [] [] []",
    "named [plain-secret-1] [] []",
    "other [] [] [no-secret-of-ours]",
    "own [plain-secret-1] [plain-secret-1] [no-secret-of-ours]",
]


def test_a_secret_of_one_task_is_in_no_other_environment(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the supervisor nor a task has it, unless the task names the variable; a resume is the same."""
    workspace.touch("gate")
    run = workspace.start(_mixed(workspace, monkeypatch))
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert sorted(workspace.lines("seen")) == SEEN
    (workspace.folder / "gate").unlink()
    (workspace.folder / "seen").unlink()
    run.resume(below=["other"])
    eventually(lambda: len(workspace.lines("seen")) == 1)
    holder = run.status().holder
    assert holder is not None
    environ = psutil.Process(holder.pid).environ()
    assert "PLAIN" not in environ
    assert "plain-secret-1" not in environ.values()
    workspace.touch("gate")
    run.wait(timeout=60)
    assert workspace.lines("seen") == [SEEN[2]]


def test_a_direct_run_gives_tasks_the_same(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the foreground, too, a task has no secret of another one."""
    workspace.touch("gate")
    workspace.exp("run", workspace.spec(_mixed(workspace, monkeypatch)), "--direct")
    assert sorted(workspace.lines("seen")) == SEEN


def test_what_is_no_longer_inherited_is_reported(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`validate` and a dry run name the tasks, in text and JSON; a run does not repeat it."""
    spec = workspace.spec(_mixed(workspace, monkeypatch))
    message = "other does not inherit PLAIN: it is a secret of own"
    for command in (["validate", spec], ["run", spec, "--dry-run"]):
        assert message in workspace.exp(*command).stderr
        [warning] = workspace.exp(*command, "--json").json["warnings"]
        assert (warning["message"], warning["path"]) == (message, "tasks.own.secrets.FIRST")
    workspace.touch("gate")
    assert message not in workspace.exp("run", spec).stderr


# -- every channel ----------------------------------------------------------------------------------------

LOUD = """
import logging, sys
class Loud:
    def __init__(self, *, word): self.word = word
    def on_event(self, event, run):
        print("printed", self.word)
        print("in two ", end=""); sys.stdout.flush(); print(self.word)
        logging.warning("logged %r", self.word)
        raise KeyError({"it is": self.word})
"""
CALLED = """
import os
def fails(): raise RuntimeError("it is " + os.environ["TOK"])
"""


def _random_secret(chance: random.Random) -> str:
    """A secret with characters that each format writes in its own way, and perhaps of two lines."""
    rare = "".join(chance.choices("'\"\\\\ %&?=/+äΩ🙂{}$`#;!*", k=chance.randint(4, 10)))
    lines = "\n" if chance.random() < 0.5 else "_"
    return f"s{chance.randbytes(6).hex()}{rare}{lines}{chance.randbytes(6).hex()}e"


@pytest.mark.parametrize("seed", range(20 if os.environ.get("EXP_TEST_LONG") else 1))
def test_no_channel_shows_a_secret(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Errors of outputs, plugins and webhooks quote data: all is masked but what a task writes itself."""
    chance = random.Random(start := f"{seed} {time.time_ns()}")  # noqa: S311 - not for real secrets
    token, hook = _random_secret(chance), f"hook-{chance.randbytes(9).hex()}"
    monkeypatch.setenv("TOK", token)
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:9/services/ /{hook}?sig={hook[::-1]}")
    (workspace.folder / "loud.py").write_text(LOUD)
    (workspace.folder / "called.py").write_text(CALLED)
    write = 'printf "{}" "$TOK" >>"$EXP_OUTPUT"; echo "logged $TOK"'
    failing = ["sh", "-c", 'echo "it is $0"; exit 3', {"secret": "TOK"}]
    spec = workspace.spec(
        {
            "malformed": write.format("%s\\n"),
            "late": write.format(f"{'x' * chance.randint(30, 60)}%s\\n"),
            "within": write.format("k<<E.N.D\\nbefore %s after\\nE.N.D\\n"),
            "key": write.format("k<<%s\\n"),
        },
        secrets={"TOK": {"env": "TOK"}},
        plugins=[
            {"uses": "loud:Loud", "with": {"word": {"secret": "TOK"}}},
            {
                "uses": "notify",
                "with": {"webhook": {"secret": {"env": "HOOK"}}, "command": failing, "retries": 0},
            },
        ],
    )
    done = [workspace.exp("run", spec, code=None)]
    for command in ("status", "show", "events", "why", "logs", "list"):
        which = {"list": []}.get(command, ["latest"])
        done += [workspace.exp(command, *which, *form, code=None) for form in ([], ["--json"])]
    refused = workspace.exp("run", spec, "--set", f"description=it is {json.dumps(token)}", code=2)
    assert "the value of the secret TOK" in refused.stderr
    run = find("latest", home=workspace.home)
    assert {state.reason for state in run.status().history.tasks.values()} == {"outputs"}, start
    texts = {str(number): each.stdout + each.stderr for number, each in enumerate([*done, refused])}
    texts |= {
        str(path): path.read_text(errors="replace")
        for path in workspace.home.directory.rglob("*")
        if path.is_file()
        and not (path.parent.name.startswith("attempt-") and path.name in ("log", "outputs"))
    }
    assert sum("***" in text for text in texts.values()) > 10
    parts = [part for part in [*token.split("\n"), hook, hook[::-1]] if len(part) >= 6]
    for name, text in texts.items():
        for part in parts:
            for form in (part, json.dumps(part)[1:-1], repr(part)[1:-1], part[:9], part[-9:]):
                assert form not in text, (name, start, part)


def test_a_direct_run_masks_the_traceback_of_a_callable(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `exp` prints of an exception is masked, and the ledger does not have it."""
    monkeypatch.setenv("TOK", "very-secret\\direct'value")
    (workspace.folder / "called.py").write_text(CALLED)
    task = {"partial": "called:fails", "secrets": {"TOK": {"env": "TOK"}}}
    done = workspace.exp("run", workspace.spec({"a": task}), "--direct", code=1)
    assert "RuntimeError: it is ***" in done.stderr
    assert "very-secret" not in done.stdout + done.stderr


def test_a_resume_refuses_only_what_it_would_add(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed value with a secret is refused; what an experiment has stored already does not stop it."""
    monkeypatch.setenv("TOK", "first-secret-value")
    spec = workspace.spec({"a": "exit 1"}, params={"x": {"default": "y"}}, secrets={"TOK": {"env": "TOK"}})
    workspace.exp("run", spec, "-p", "x=later-secret-value", code=1)
    monkeypatch.setenv("TOK", "later-secret-value")
    before = workspace.exp("show", "latest", "--json").json["spec"]
    refused = workspace.exp("resume", "latest", "--set", "description=a later-secret-value", code=2)
    assert "contains the value of the secret TOK" in refused.stderr
    assert workspace.exp("show", "latest", "--json").json["spec"] == before
    workspace.exp("resume", "latest", "--set", "description=another", code=1)
    assert workspace.exp("show", "latest", "--json").json["spec"]["description"] == "another"


def test_a_key_with_a_secret_is_refused(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is created, and the error does not contain the value."""
    monkeypatch.setenv("TOK", "a-secret-value")
    spec = workspace.spec({"a": "exit 0"}, secrets={"TOK": {"env": "TOK"}})
    refused = workspace.exp("run", spec, "--key", "nightly a-secret-value", code=2)
    assert "the key contains the value of the secret TOK" in refused.stderr
    assert "a-secret-value" not in refused.stdout + refused.stderr
    assert workspace.exp("list", "-q").stdout == ""
