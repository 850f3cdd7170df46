from __future__ import annotations

from typing import TYPE_CHECKING

from support.patience import eventually
from support.workspace import until

if TYPE_CHECKING:
    from support.workspace import Exp, ExpWorkspace

FLAKY = """
name: a
params: {steps: 3, note: "a 'b' $c"}
tasks:
  flaky: {inline: 'test "$EXP_ATTEMPT" = 2', retry: {limit: 1}}
  below: {command: [echo, '${{ params.steps }}'], dependencies: [flaky]}
"""


def test_show_tells_all_attempts(exp: Exp) -> None:
    """Every attempt is there with its end and how long it took, not only the last one."""
    exp("run", exp.spec(FLAKY))
    task = exp("show", "--json").json["tasks"][0]
    ends = [(one["attempt"], one["status"], one["exit_code"]) for one in task["attempts"]]
    assert ends == [(1, "FAILED", 1), (2, "SUCCEEDED", 0)]
    assert all(one["duration"] >= 0 and one["job_id"] for one in task["attempts"])


def test_show_tells_the_spec_as_it_was_resolved(exp: Exp) -> None:
    """Params that were given, the command that ran, and what decided which programs were found."""
    exp("run", exp.spec(FLAKY), "-p", "steps=5")
    document = exp("show", "a", "--json").json
    assert document["params"] == {"steps": 5, "note": "a 'b' $c"}
    assert document["spec"]["tasks"][1]["body"] == ["echo", "5"]
    assert document["environment"]["PATH"]
    assert document["files"]["ledger"].endswith("ledger.jsonl")
    shown = exp("show").stdout
    assert "steps = 5" in shown
    assert "below: command echo 5  <- afterok flaky" in shown


def test_show_tells_who_did_what(workspace: ExpWorkspace) -> None:
    """Who started, cancelled and resumed it, in the order in which that happened."""
    run = workspace.start({"slow": until("go")})
    eventually(lambda: workspace.exp.task("slow")["status"] == "RUNNING")
    workspace.exp("cancel", run.id)
    workspace.touch("go")
    workspace.exp("resume", run.id)
    steps = workspace.exp("show", run.id, "--json").json["steps"]
    asked = [one for one in steps if one["event"] in ("created", "cancel_requested", "resumed")]
    assert [one["event"] for one in asked] == ["created", "cancel_requested", "resumed"]
    assert "(exp cancel)" in asked[1]["by"]
    assert "(exp resume)" in asked[2]["by"]
    assert "(exp cancel)" in workspace.exp("show", run.id).stdout


def test_show_names_secrets_and_nothing_more(exp: Exp) -> None:
    """Of a secret only its name and where it comes from are shown."""
    hidden = "correct-horse-battery"
    exp(
        "run",
        exp.spec("secrets: {KEY: {env: MY_KEY}}\ntasks: {a: {command: [echo]}}"),
        env={"MY_KEY": hidden},
    )
    shown = exp("show", env={"MY_KEY": hidden}).stdout + exp("show", "--json", env={"MY_KEY": hidden}).stdout
    assert "MY_KEY" in shown
    assert hidden not in shown


def test_show_rewrites_no_terminal(exp: Exp) -> None:
    """What a spec holds reaches the terminal without its control characters."""
    exp("run", exp.spec('tasks: {a: {command: [echo, "\\e[2J"], description: "\\e[2J"}}'))
    assert "\x1b" not in exp("show").stdout


def test_show_of_what_is_not_there(exp: Exp) -> None:
    """An unknown experiment is exit code 3."""
    exp("show", "nothing", code=3)
