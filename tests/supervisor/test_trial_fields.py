"""Keys of a task that depend on the values of a trial: requests, timeouts, retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC: Final = """
name: study
tasks:
  train:
    inline: 'echo "loss:=1" >> "$EXP_OUTPUT"; [ ${{ search.n }} != 2 ] || sleep 600; [ ${{ search.n }} != 3 ]'
    timeout: "${{ 0.2 if search.n == 2 else 600 }}"
    resources: {cpus: "${{ search.n / 100 }}"}
    retry: {limit: "${{ search.n - 2 if search.n > 2 else 0 }}"}
    allow_failure: "${{ search.n > 1 }}"
    search:
      params: {n: {type: int, low: 1, high: 3}}
      metric: outputs.loss
      goal: minimize
      trials: 3
      sampler: grid
"""


def test_each_trial_has_the_keys_that_its_values_give_it(exp: Exp) -> None:
    """One trial ends by its timeout, one is retried, and their failures are allowed, each by its value."""
    exp("run", exp.spec(SPEC))
    tasks = {task["trial"]["params"]["n"]: task for task in exp.status()["tasks"]}
    assert {n: task["resources"] for n, task in tasks.items()} == {n: {"cpus": n / 100} for n in (1, 2, 3)}
    assert {n: (task["status"], task["reason"], task["attempt"]) for n, task in tasks.items()} == {
        1: ("SUCCEEDED", None, 1),
        2: ("FAILED", "timeout", 1),
        3: ("FAILED", "exit", 2),
    }
