"""What the handle of an experiment offers in Python is what the commands print as JSON."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import pytest

import nemorun_cli
from nemorun_cli.errors import NotFoundError, RunningError, SpecError, UnreadableWarning, UsageError
from nemorun_cli.experiment.run import find, runs
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from support.workspace import Exp

STUDY = """
name: study
tags: [nightly, small]
params: {lr: 0.5}
tasks:
  train:
    inline: 'for step in 1 2 3; do echo "step $step loss $LR"; done'
    env: {LR: "${{ params.lr }}"}
    metrics: {train: 'step (?P<step>\\d+) loss (?P<loss>\\S+)'}
  bad: {inline: "echo the reason >&2; exit 3"}
  after: {command: "true", dependencies: [bad]}
"""


def test_a_handle_gives_what_the_commands_print(exp: Exp) -> None:
    """Metrics, params and reasons are the JSON documents; a failure ends no program."""
    run = nemorun_cli.run(exp.spec(STUDY), home=exp.home)
    assert run.wait(timeout=30).exit_code == 1

    assert run.metrics() == exp("metrics", run.id, "--json").json
    (series,) = run.metrics("train", keys=["loss"], last=2)["series"]
    assert (series["name"], [row["loss"] for row in series["rows"]]) == ("train", [0.5, 0.5])
    assert run.params() == exp("params", run.id, "--json").json
    assert run.params("train")["records"][0]["task"] == "train"
    assert run.why() == exp("why", run.id, "--json").json
    assert [task["id"] for task in run.why()["tasks"]] == ["bad"]
    assert run.why("after")["tasks"][0]["chain"]
    assert repr(run) == f"Run({run.id!r}, {str(run.directory)!r})"
    assert repr(run.status()) == f"Snapshot({run.id!r}, FAILED)"
    with pytest.raises(UsageError, match="there is no metric 'nope'") as error:
        run.metrics(keys=["nope"])
    assert error.value.hint == "there are: train/loss"
    for ask in (run.metrics, run.params, run.why):
        with pytest.raises(NotFoundError):
            ask("nobody")

    again = run.rerun(params={"lr": 0.25}, only=["train"])
    assert again.wait(timeout=30).exit_code == 0
    assert again.metrics()["series"][0]["rows"][0]["loss"] == 0.25
    assert again.status().history.created["rerun_of"] == run.id
    assert (again.home, again.secrets) == (Home(exp.home), set())
    with pytest.raises(SpecError, match="no param is called 'rl'"):
        run.rerun(params={"rl": 1})


def test_a_home_can_be_named_by_its_folder(exp: Exp, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a text or a path, relative or with `~`; a file is refused."""
    run = nemorun_cli.run(exp.spec("tasks: {t: {command: 'true'}}"), home=str(exp.home))
    run.wait(timeout=30)
    monkeypatch.chdir(exp.home.parent)
    monkeypatch.setenv("HOME", str(exp.home.parent))
    for home in (exp.home, exp.home.name, f"~/{exp.home.name}"):
        assert [find(home=home).id, *(each.id for each in runs(home=home))] == [run.id, run.id]
    with pytest.raises(UsageError, match=r"the home is .*spec\.yaml, which is not a folder"):
        find(home=exp.folder / "spec.yaml")


def test_a_list_of_runs_is_that_of_the_command(exp: Exp) -> None:
    """Filters mean the same, and what cannot be read is named and left out."""
    home = Home(exp.home)
    for name, code in (("a", 0), ("b", 3), ("b", 0)):
        exp(
            "run",
            exp.spec(f"name: {name}\ntags: [x, {name}]\ntasks: {{t: {{inline: exit {code}}}}}"),
            code=None,
        )
    ids = exp("list", "-q").stdout.split()
    assert [run.id for run in runs(home=home)] == ids
    for words, filters in (
        (["--name", "b"], {"name": "b"}),
        (["--name", "a", "--name", "c*"], {"name": ["a", "c*"]}),
        (["--status", "failed"], {"status": "failed"}),
        (["--status", "FAILED", "--status", "completed"], {"status": ["FAILED", "completed"]}),
        (["--tag", "x", "--tag", "a"], {"tag": ["x", "a"]}),
        (["--limit", "2"], {"limit": 2}),
        (["--limit", "0"], {"limit": 0}),
        (["--since", "1h", "--name", "b", "--limit", "1"], {"since": "1h", "name": "b", "limit": 1}),
        (["--since", "2999-01-01"], {"since": "2999-01-01"}),
    ):
        assert [run.id for run in runs(home=home, **filters)] == exp("list", "-q", *words).stdout.split()
    for wrong in ({"status": "done"}, {"since": "soon"}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} (DONE|soon): "):
            runs(home=home, **wrong)

    (home.experiments / "a" / ids[-1] / "ledger.jsonl").write_text("no ledger\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [run.id for run in runs(home=home)] == ids[:-1]
    assert [warning.category for warning in caught] == [UnreadableWarning]
    assert ids[-1] in str(caught[0].message)


def test_one_text_is_not_a_list_of_letters(exp: Exp) -> None:
    """Where several texts can be given, one is enough."""
    spec = exp.spec(
        "params: {n: 1}\n"
        "tasks:\n"
        "  first: {inline: 'echo \"loss ${{ params.n }}\"', metrics: {m: 'loss (?P<loss>.*)'}}\n"
        "  second: {inline: exit 3}\n"
    )
    run = nemorun_cli.run(spec, params="n=2", sets="tags=[a]", only="first", home=exp.home)
    assert run.wait(timeout=30).exit_code == 0
    assert [row["loss"] for row in run.metrics(keys="loss")["series"][0]["rows"]] == [2]
    assert run.spec().tags == ("a",)
    again = run.rerun(params="n=3", only="first")
    assert again.wait(timeout=30).exit_code == 0
    assert again.spec().params == {"n": 3}
    assert again.resume(below="first")
    assert again.wait(timeout=30).history.tasks["first"].attempt == 2
    assert again.cancel("first").exit_code == 0


def test_a_rerun_follows_the_rules_of_keys(exp: Exp) -> None:
    """With a key, a second one is refused while the first one runs."""
    run = nemorun_cli.run(
        exp.spec("tasks: {t: {inline: 'while [ ! -e go ]; do sleep 0.05; done'}}"),
        key="k",
        home=Home(exp.home),
    )
    with pytest.raises(RunningError, match=run.id):
        run.rerun(key="k")
    assert run.rerun(key="k", if_running="skip") == run
    with pytest.raises(UsageError, match="if_running='Replace': must be fail, skip or replace"):
        run.rerun(key="k", if_running="Replace")  # type: ignore[arg-type]
    assert run.status().status == "RUNNING", "only the word itself replaces a run"
    (exp.folder / "go").touch()
    assert find(run.id, home=Home(exp.home)).wait(timeout=30).exit_code == 0
    assert os.environ.get("EXP_TASK") is None
