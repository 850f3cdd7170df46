"""What every command writes on a narrow terminal."""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING

from nemorun_cli.cli import app

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

SPEC = """
name: a-rather-long-name-of-a-study
description: A study with a description that is longer than eighty columns, and has to be wrapped.
tags: [nightly, a-tag-that-is-long, another-tag]
params: {learning_rate: 0.1, word: a text of several words that is longer than what fits into the column}
tasks:
  prepare-the-data: {inline: 'echo "rows:=3" >> "$EXP_OUTPUT"'}
  train-the-model:
    inline: '"$0" train.py $1; echo "Error: a message of many words about what happened" >&2; exit 3'
    args: ["${{ matrix.lr }}"]
    matrix: {lr: [0.1, 0.01], optimizer: [adamw-with-decay]}
    dependencies: [prepare-the-data]
  evaluate-the-model: {command: "true", dependencies: [train-the-model]}
"""
TRAINING = """
import sys
from nemorun_cli import Experiment

with Experiment(print_logs=False).run as experiment:
    lr = float(sys.argv[1])
    experiment.params.set(lr=lr, optimizer="adamw", **{f"layer_{number}": number * lr for number in range(6)})
    for step in range(3):
        values = {"loss": step / 7, "accuracy": step / 3, "perplexity": step * 7.1, "throughput": 1e5 / 3}
        experiment.metrics("train").log(**values)
    experiment.files("models/checkpoints").save(b"weights", to="best-checkpoint-of-all.bin")
"""
COMMANDS = """
list
status NEW
status NEW train-the-model
status NEW evaluate-the-model
why NEW
why NEW train-the-model/lr=0.1
why NEW evaluate-the-model
doctor NEW
report NEW -f -o report.html
compare
compare NEW OLD --all-params
compare --sort throughput
files
records
metrics
metrics --last 2
params
show NEW
diff OLD NEW
gc --older 0s --dry-run
events NEW
graph NEW
graph spec.yaml
validate spec.yaml
validate wrong.yaml
schema
schema tasks
schema matrix
fsck NEW
logs NEW nothing
logs NEW prepare-the-data
attach NEW
wait NEW
cancel NEW
run spec.yaml --dry-run
run spec.yaml lr=3
rerun NEW --dry-run
resume NEW --dry-run
resume NEW -p learning_rate=0.5 --dry-run
resume NEW --from nothing
tag NEW +a-tag-that-was-added-later
tag NEW good
note NEW a-note-that-was-added-later
note NEW
status NEW
close nobody/at-all
login http://records.example.org
logout https://records.example.org
whoami
serve --tls-key missing.pem
sync --status
rm NEW --records --dry-run
rm OLD NEW* --dry-run
rm --restore
init new
"""
MEMBER = "train-the-model/lr=0.01,optimizer=adamw-with-decay"


def test_no_line_is_too_wide_and_no_word_is_broken(exp: Exp) -> None:
    """At 80 and 60 columns, text and tables of every command are wrapped, dropped or shortened with `…`."""
    old, new = _experiments(exp)
    lines = [line.replace("NEW", new).replace("OLD", old) for line in COMMANDS.split("\n") if line]
    assert {line.split()[0] for line in lines} == set(app.COMMANDS)
    for line in [*lines, "--help", *(f"{name} --help" for name in app.COMMANDS)]:
        words = set(_words(_written(exp, line, 2000)))
        for columns in (80, 60):
            text = _written(exp, line, columns)
            rows = text.splitlines()
            assert [row for row in rows if len(row) > columns and not _is_one_word(row, columns)] == []
            shown = _words(text.partition("hint: too wide for this terminal")[0])
            assert [word for word in shown if not word.endswith("…") and word not in words] == [], line
            assert [word for word in shown if word.startswith("train-the-model/") and "…" in word] == []


def test_ids_and_content_survive_a_narrow_terminal(exp: Exp) -> None:
    """Ids are whole at any width, of the other columns the least telling ones go first; a pipe gets all."""
    _, new = _experiments(exp)
    for columns in (40, 60, 80, 200):
        assert new in exp.on_terminal("list", columns=columns).stdout.split()
        status = exp.on_terminal("status", new, "train-the-model", columns=columns)
        assert MEMBER in status.stdout.split()
        assert "exit code 3" in " ".join(status.stdout.split())
    narrow = exp.on_terminal("status", new, columns=80).stdout
    wide = exp.on_terminal("status", new, columns=200).stdout
    assert "EXECUTOR" not in narrow
    assert "REASON" in narrow
    assert "EXECUTOR" in wide
    assert "DIRECTORY" in wide
    progress = _written(exp, "run spec.yaml", 60).splitlines()
    assert [row for row in progress if len(row) > 60 and not _is_one_word(row, 60)] == []
    assert "too wide for this terminal: " in exp.on_terminal("compare", columns=60).stderr
    for line in (f"status {new}", "compare", f"show {new}", f"events {new}"):
        narrow, wide = (exp(*line.split(), env={"COLUMNS": columns}).stdout for columns in ("40", "400"))
        assert narrow == wide
        assert "…" not in narrow


def _experiments(exp: Exp) -> tuple[str, str]:
    """The ids of two experiments that failed, the older one first."""
    (exp.folder / "train.py").write_text(TRAINING, encoding="utf-8")
    exp.spec(SPEC.replace('"$0"', sys.executable))
    exp.spec("nam: x\njobs: {}\ntasks:\n  a: {comand: 1, dependencies: [no-such-task]}\n", "wrong.yaml")
    old = exp("run", "spec.yaml", "-q", code=1).stdout.strip()
    new = exp("rerun", old, "-p", "learning_rate=0.2", "-q", code=1).stdout.strip()
    return old, new


def _written(exp: Exp, line: str, columns: int) -> str:
    """Both outputs, with times that do not depend on the moment."""
    made: Path = exp.folder / "new.yaml"
    made.unlink(missing_ok=True)
    # A dumb terminal gets lines of progress in place of a live display.
    result = exp.on_terminal(
        *shlex.split(line), columns=columns, code=None, NEMORUN_TIMES="local", TERM="dumb"
    )
    return result.stdout + result.stderr


def _words(text: str) -> list[str]:
    """The words of an output, numbers aside: process ids and free space differ from one call to the next."""
    return [re.sub(r"\d+", "0", word) for word in text.split() if word != "\\"]


def _is_one_word(row: str, columns: int) -> bool:
    """Whether a row is too wide because of a path, or is a line of a log or of a script."""
    return max(map(len, row.split())) > columns - 2 or re.match(r"\s*\d* *\| ", row) is not None
