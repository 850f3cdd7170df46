"""A supervisor does not wait for expressions: tasks run and cancels work while one is evaluated."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from support.workspace import events

from nemorun_cli.model.status import Reason, TaskStatus

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

BOMB = "${{ ('a' * tasks.first.outputs.n) | list | map('list') | sum(start=[]) | length }}"
SUM = "${{ [tasks.first.outputs.n, 1] | sum }}"


def test_other_tasks_run_and_cancels_work_while_an_expression_is_evaluated(workspace: ExpWorkspace) -> None:
    """A bomb ends its own task with the place and the reason, and delays nothing else."""
    needs = {"dependencies": ["first"]}
    run = workspace.start(
        {
            "first": {"inline": 'echo n:=999999 >>"$EXP_OUTPUT"'},
            "bomb": {"command": ["echo", BOMB], **needs},
            "other": {"command": ["echo", BOMB], **needs},
            "sum": {"inline": f'[ "{SUM}" = 1000000 ] && test "$(date +%s)" -gt 0', **needs},
            "never": {"command": "true", "when": "${{ [tasks.first.outputs.n] | max > 9999999 }}", **needs},
            "plain": {"command": ["test", "${{ tasks.first.outputs.n + 1 }}", "=", "1000000"], **needs},
            "pair": {
                "together": True,
                "group": [{"command": ["echo", SUM]}, {"command": ["true"]}],
                **needs,
            },
        },
        run={"max_parallel": 4},
    )
    before = time.monotonic()
    run.cancel(["other"], grace=0)
    assert time.monotonic() - before < 1.5
    snapshot = run.wait(timeout=60)
    states = snapshot.history.tasks
    assert {name: str(state.status) for name, state in states.items()} == {
        "first": "SUCCEEDED",
        "bomb": "FAILED",
        "other": "CANCELLED",
        "sum": "SUCCEEDED",
        "never": "SKIPPED",
        "plain": "SUCCEEDED",
        "pair/0": "SUCCEEDED",
        "pair/1": "SUCCEEDED",
    }
    assert states["bomb"].reason == Reason.TEMPLATE
    reasons = ("it takes more than 2 s of processor time", "it does not end within 10 s")  # if others need it
    assert any(reason in (states["bomb"].message or "") for reason in reasons)
    ended = [event["task"] for event in events(run) if event["event"] == "ended"]
    assert ended.index("plain") < ended.index("bomb")
    assert states["other"].status is TaskStatus.CANCELLED
