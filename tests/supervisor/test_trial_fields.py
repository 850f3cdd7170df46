"""Keys of a task that depend on the values of a trial: requests, timeouts, retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from support.extent import IS_LONG
from support.patience import PATIENCE, eventually
from support.workspace import kill_supervisor, log, statuses, until

from nemorun_cli.model.status import TaskStatus

if TYPE_CHECKING:
    from support.workspace import Exp, ExpWorkspace

WHERE: Final = ("one", "two")

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


VARIED: Final[dict[str, Any]] = {
    "executor": "${{ search.where }}",
    "script": "run-${{ search.n }}.sh",
    "env_file": "${{ search.n }}.env",
    "entrypoint": ["${{ search.shell | default('bash') }}"],
    "metrics": {"train": "${{ search.where }} (?P<loss>.*)"},
    "search": {
        "params": {
            "n": {"type": "int", "low": 1, "high": 2},
            "where": ["one", "two"],
            "shell": {"choices": ["sh"], "when": "${{ search.n == 1 }}"},
        },
        "metric": "loss",
        "goal": "minimize",
        "trials": 4,
        "sampler": "grid",
        "max_parallel": 2,
    },
}


def test_trials_take_the_form_that_their_values_decide_after_a_crash_too(workspace: ExpWorkspace) -> None:
    """What runs, where, with which variables and patterns is known for each value, also for a resume."""
    for n in (1, 2):
        (workspace.folder / f"{n}.env").write_text(f"FROM=file{n}\n")
        text = f'{until("go")}; echo "$WHO {n}"; echo "$FROM" >> ran\n'
        (workspace.folder / f"run-{n}.sh").write_text(text)
    executors = {name: {"type": "local", "env": {"WHO": name}, "env_inherit": ["PATH"]} for name in WHERE}
    run = workspace.start({"train": VARIED}, executors=executors)
    eventually(lambda: run.status().history.counts[TaskStatus.RUNNING] == 2)
    kill_supervisor(run)
    workspace.touch("go")
    run.resume()
    snapshot = run.wait(timeout=PATIENCE)
    assert set(statuses(snapshot).values()) == {"SUCCEEDED"}
    study = snapshot.history.studies["train"]
    points = {number: suggestion.params for number, suggestion in study.suggestions.items()}
    assert len({(params["n"], params["where"]) for params in points.values()}) == 4
    for number, params in points.items():
        name = f"train/trial-{number:04d}"
        assert log(run, name) == f"{params['where']} {params['n']}\n"
        assert study.results[number].values == (float(params["n"]),)
        assert snapshot.task_json(name, number - 1)["executor"] == params["where"]
    assert sorted(workspace.lines()) == ["file1", "file1", "file2", "file2"]


if IS_LONG:

    def test_only_trials_with_a_cache_by_their_values_are_reused(workspace: ExpWorkspace) -> None:
        """A trial without `cache` runs again, next to one with it whose earlier result is taken."""
        trial = {
            "inline": 'echo ran >> ran; echo s:=1 >> "$EXP_OUTPUT"',
            "cache": "${{ search.cache }}",
            "search": {
                "params": {"cache": [True, False]},
                "metric": "outputs.s",
                "goal": "minimize",
                "trials": 2,
                "sampler": "grid",
            },
        }
        ends = []
        for _ in range(2):
            history = workspace.run({"train": trial}).history
            suggestions = history.studies["train"].suggestions.items()
            names = {params.params["cache"]: f"train/trial-{number:04d}" for number, params in suggestions}
            ends.append({value: history.tasks[name].reason for value, name in names.items()})
        assert ends == [{True: None, False: None}, {True: "cached", False: None}]
        assert len(workspace.lines()) == 3

    def test_a_trial_whose_values_forbid_it_to_run_is_skipped(workspace: ExpWorkspace) -> None:
        """The values decide how its dependencies must have ended, and then whether it runs."""
        search = {
            "params": {"type": ["afterok", "afterany", "afternotok"]},
            "metric": "outputs.s",
            "goal": "minimize",
            "trials": 3,
            "sampler": "grid",
        }
        trial = {
            "inline": 'echo s:=1 >> "$EXP_OUTPUT"',
            "dependencies": ["first"],
            "dependency_type": "${{ search.type }}",
            "search": search,
        }
        for first, skipped in (("exit 1", "afterok"), ("true", "afternotok")):
            snapshot = workspace.run({"first": first, "train": trial})
            for number, suggestion in snapshot.history.studies["train"].suggestions.items():
                state = snapshot.history.tasks[f"train/trial-{number:04d}"]
                assert (state.status == "SKIPPED") == (suggestion.params["type"] == skipped)
