"""Inline texts: the first command that fails ends them, wherever they are written, and its line is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from support.workspace import attempt, log

from nemorun_cli.storage import failed_line

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace


class Ended(NamedTuple):
    """A text, the exit code that it ends with, and the line that is recorded for it, if one is."""

    text: str
    code: int = 1
    line: int | None = 1
    shown: str | None = None


ENDED = {
    "command": Ended("echo before\n\n  (exit 7) # why", 7, 3, "(exit 7) # why"),
    "comment-first": Ended("#!/bin/sh\nfalse", 1, 2, "false"),
    "pipeline": Ended("false | cat", shown="false | cat"),
    "closed-pipe": Ended("yes | head -n 1 >/dev/null", 141, shown="yes | head -n 1 >/dev/null"),
    "function": Ended("f() {\n  false\n  true\n}\nf", 1, 2, "false"),
    "subshell": Ended("(cd /; false; echo wrong)", shown="(cd /; false; echo wrong)"),
    "assigned": Ended("x=$(exit 3)", 3, shown="x=$(exit 3)"),
    "loop": Ended("for i in 1 2; do\n  [ $i = 1 ]\ndone", 1, 2, "[ $i = 1 ]"),
    "missing": Ended("no-such-program", 127, shown="no-such-program"),
    "restored": Ended("set +e; false; set -e\n(exit 4)", 4, 2, "(exit 4)"),
    "options": Ended("set -Cux; set -o posix\nfalse", 1, 2, "false"),
    "sourced": Ended("printf 'true\\nfalse\\n' >lib; . ./lib", 1, 2),
    "late": Ended("echo ${{ tasks.fine.outputs.x }}\nfalse", 1, 2, "false"),
    "last": Ended("echo fine\nfalse", 1, 2, "false"),
    "exits": Ended("false || true\nexit 3", 3, None),
    "ignored": Ended("set +e\n(exit 5)\nexit 5", 5, None),
    "background": Ended("(exit 6) &\nwait $! || exit 6", 6, None),
    "own-trap": Ended("trap 'echo mine' ERR\nfalse", 1, None),
    "unset": Ended("set -u; echo $nothing_of_that_name", 1, None),
}
ALLOWED = "if false; then :; fi; ! true; while false; do :; done; false || true; false && true; echo x=1"
COMPLETE = {
    "fine": f'{ALLOWED} >>"$EXP_OUTPUT"',
    "trapped": "trap 'exit 0' USR1; kill -USR1 $$; sleep 60",
}


def test_the_first_failed_command_ends_an_inline_text(workspace: ExpWorkspace) -> None:
    """What follows it does not run, its exit code is the task's, and its line is recorded."""
    tasks: dict[str, Any] = {name: f"{ended.text}\necho wrong" for name, ended in ENDED.items()}
    tasks["last"] = ENDED["last"].text
    tasks["late"] = {"inline": tasks["late"], "dependencies": ["fine"]}
    run = workspace.start(tasks | COMPLETE)
    states = run.wait(timeout=60).history.tasks
    assert [name for name in COMPLETE if states[name].status != "SUCCEEDED"] == []
    assert {name: states[name].exit_code for name in ENDED} == {
        name: ended.code for name, ended in ENDED.items()
    }
    assert [name for name in ENDED if "wrong" in log(run, name)] == []
    lines = {name: failed_line.read(attempt(run, name), states[name].exit_code) for name in ENDED}
    assert {name: line and (line.line, line.text) for name, line in lines.items()} == {
        name: ended.line and (ended.line, ended.shown) for name, ended in ENDED.items()
    }
    assert lines["sourced"] is not None
    assert lines["sourced"].file == "./lib"
    assert log(run, "options") == "+ set -o posix\n+ false\n"  # nothing of what records the line
    assert log(run, "pipeline") == ""


def test_inline_texts_end_wherever_they_are_written(workspace: ExpWorkspace) -> None:
    """Members, co-scheduled ones, sweeps, launched tasks and handlers; `entrypoint` and scripts differ."""
    (workspace.folder / "script").write_text("false\necho after")
    text = 'false\necho wrong >>"$EXP_DIR/wrong"'
    plain = "false\necho after"
    failing = {
        "group": {"group": [{"name": "a", "inline": text}]},
        "together": {
            "together": True,
            "group": [{"name": "a", "inline": text}, {"name": "b", "inline": text}],
        },
        "sweep": {"inline": text, "matrix": {"x": [1, 2]}},
        "launched": {"inline": text, "launcher": {"wrap": ["env", "A=1"]}},
    }
    plainly = {
        "script": {"script": "script"},
        "bash": {"inline": plain, "entrypoint": "bash"},
        "listed": {"inline": plain, "entrypoint": ["bash"]},
        "python": {"inline": "print('after')", "entrypoint": "python3"},
    }
    run = workspace.start(failing | plainly, on_exit={"handler": {"inline": text}})
    states = run.wait(timeout=60).history.tasks
    failed = {name for name, state in states.items() if state.status == "FAILED"}
    assert failed == set(states) - set(plainly)
    assert len(failed) == 7
    assert not (run.directory / "wrong").exists()
    assert {log(run, name).strip() for name in plainly} == {"after"}

    plan = workspace.start({"a": {"inline": plain}}, defaults={"entrypoint": "bash"})
    assert plan.wait(timeout=60).history.tasks["a"].status == "SUCCEEDED"
    assert json.loads(attempt(plan, "a").plan.read_bytes())["argv"][:-1] == ["bash"]
    assert attempt(plan, "a").script.read_text() == plain
