from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC = """
name: study
params: {lr: 0.1, epochs: 1}
tasks:
  train: {script: train.sh, args: ["${{ params.lr }}", "${{ params.epochs }}"]}
  report: {inline: 'echo report "$WORD"', env: {WORD: first}, dependencies: [train]}
"""


@pytest.fixture
def old(exp: Exp) -> str:
    """An experiment that ran, whose script was changed and whose spec was deleted afterwards."""
    (exp.folder / "train.sh").write_text('echo "old $*"\n')
    spec = exp.spec(SPEC)
    experiment_id = exp(
        "run", spec, "-p", "lr=0.2", "--set", "tasks.report.env.WORD=set", "-q"
    ).stdout.strip()
    (exp.folder / "train.sh").write_text('echo "new $*"\n')
    spec.unlink()
    return experiment_id


def test_rerun_is_a_new_experiment_of_the_same(exp: Exp, old: str) -> None:
    """It has the old one's spec, options and scripts, whatever became of the files."""
    new = exp("rerun", old, "-q").stdout.strip()

    assert new != old
    assert exp("logs", new, "train").stdout == "old 0.2 1\n"
    assert exp("logs", new, "report").stdout == "report set\n"
    assert exp("diff", old, new).stdout == "no differences\n"


def test_changes_go_over_what_was_given_before(exp: Exp, old: str) -> None:
    """-p and --set of a rerun win, and those of the old one hold where nothing else is said."""
    new = exp("rerun", old, "-p", "epochs=5", "--set", "tasks.report.env.WORD=other", "-q").stdout.strip()

    assert exp("logs", new, "train").stdout == "old 0.2 5\n"
    assert exp("logs", new, "report").stdout == "report other\n"
    again = exp("rerun", new, "-p", "lr=0.3", "-d").stdout.strip()
    exp("wait", again)
    assert exp("logs", again, "train").stdout == "old 0.3 5\n"


def test_the_lineage_is_shown(exp: Exp, old: str) -> None:
    """A rerun names the experiment that it came from, in its first event and to people."""
    new = exp("rerun", old, "-q").stdout.strip()

    assert f"rerun of:   {old}" in exp("show", new).stdout
    assert exp("show", new, "--json").json["lineage"]["rerun_of"] == old
    assert exp("show", old, "--json").json["lineage"]["rerun_of"] is None


def test_how_the_old_one_was_watched_does_not_count(exp: Exp) -> None:
    """Whether the old one was detached or direct says nothing of the new one."""
    spec = exp.spec("name: x\ntasks: {t: {inline: exit 3}}\n")
    exp("wait", exp("run", spec, "-d").stdout.strip(), code=1)
    exp("rerun", "x", code=1)
    exp("run", spec, "--direct", code=1)
    assert exp("rerun", "x", "-q", code=1).stdout.startswith("x_")


def test_dry_run_creates_nothing(exp: Exp, old: str) -> None:
    """--dry-run shows what would run, with the changes."""
    (train, _) = exp("rerun", old, "-p", "lr=9", "--dry-run", "--json").json["tasks"]

    assert train["argv"][-2:] == ["9", "1"]
    assert len(exp("list", "--json").json["experiments"]) == 1


def test_problems_of_a_change_are_told(exp: Exp, old: str) -> None:
    """What the options break is told as for a run; a place in the spec is one of the kept copy."""
    told = exp("rerun", old, "-p", "lr=fast", "--set", "tasks.report.dependencies=[nobody]", code=2).stderr

    assert "-p lr=fast: params.lr: " in told
    assert "no task is called 'nobody'" in told
    exp("rerun", "nothing", code=3)


def test_the_code_that_was_shipped_is_shipped_again(exp: Exp) -> None:
    """A packager's content is what the old experiment got, not what the folder holds by now."""
    packager = "{type: pattern, include: ['*.txt']}"
    spec = exp.spec(f"name: x\ntasks: {{t: {{command: [cat, words.txt], packager: {packager}}}}}\n")
    (exp.folder / "words.txt").write_text("old\n")
    old = exp("run", spec, "-q").stdout.strip()
    (exp.folder / "words.txt").write_text("new\n")

    new = exp("rerun", old, "-q").stdout.strip()

    assert exp("logs", new, "t").stdout == "old\n"
    assert exp("diff", old, new).stdout == "no differences\n"
    assert exp("rerun", old, "--dry-run", "--json").json["packages"][0]["files"] == 1
    exp("gc", "--older", "0s")
    exp("run", spec, "-q")
    assert exp("logs", "x", "t").stdout == "new\n"
