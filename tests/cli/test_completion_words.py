"""Completion of words that contain `=` and `:`, in each shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
import typer
from support.terminals import Terminal

from nemorun_cli.cli import completion, completion_words, sweep_completion

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

SWEEP = """
name: sweep
tasks:
  train: {command: 'true', matrix: {lr: [1, 2], opt: [adam, sgd]}}
"""
ALL = ["1,opt=adam", "1,opt=sgd", "2,opt=adam", "2,opt=sgd"]


@pytest.mark.parametrize(
    ("words", "joined", "kept"),
    [
        ("exp logs s tr", "exp logs s tr", ""),
        ("exp logs s train/lr =", "exp logs s train/lr=", "train/lr="),
        ("exp logs s train/lr = 1,o", "exp logs s train/lr=1,o", "train/lr="),
        ("exp logs s train/lr = 1,opt = a", "exp logs s train/lr=1,opt=a", "train/lr=1,opt="),
        ("exp resume --from = train/lr = 1", "exp resume --from=train/lr=1", "--from=train/lr="),
        ("exp run -p url = http : //s : 80 s.y", "exp run -p url=http://s:80 s.y", ""),
        ("exp run -p lr = 1 s.yaml ", "exp run -p lr=1 s.yaml ", ""),
        ("exp run s.yaml -p @ val", "exp run s.yaml -p @val", ""),
        ("exp run s.yaml -p @", "exp run s.yaml -p @", ""),
        ("exp run --param =@ val", "exp run --param=@val", "--param="),
        ("exp run --param =@", "exp run --param=@", "--param="),
    ],
)
def test_bash_words_are_joined_as_they_were_typed(words: str, joined: str, kept: str) -> None:
    """`=`, `:` and `@`, which bash makes words of their own, belong to the words around them."""
    split = words.split(" ")
    line = completion_words.join(split, len(split) - 1)
    assert " ".join(line.words) == joined
    assert line.kept == kept


def test_bash_itself_completes_members(exp: Exp) -> None:
    """In an interactive bash, TAB after `=` offers the members, and completes the rest; no name is run."""
    exp("run", exp.spec(SWEEP), "-q")
    script = exp.process(env={"_EXP_COMPLETE": "source_bash"}).stdout
    (exp.folder / "completion").write_text(script, encoding="utf-8")
    path = f"{exp.argv[0].rpartition('/')[0]}:/usr/bin:/bin"
    terminal = Terminal(["bash", "--norc", "-i"], env={**exp.env, "PATH": path, "PS1": "> "}, cwd=exp.folder)
    terminal.type(b". ./completion; echo ready\n")
    terminal.until("ready")
    terminal.type(b"exp status sweep train/lr=\t\t")
    for member in ALL:
        terminal.until(member)
    terminal.type(b"2,opt=s\t\n")
    terminal.until("task:       train/lr=2,opt=sgd")
    exp.spec("lr: 1", "values.yaml")
    exp.spec("lr = 1", "vital.toml")
    terminal.type(b"exp validate spec.yaml -p @val\t\n")
    terminal.until("values.yaml:1:1: params.lr: no param is called 'lr'")
    terminal.type(b"exp validate spec.yaml --param=@vi\t\n")
    terminal.until("vital.toml:1:1: params.lr: no param is called 'lr'")
    (exp.folder / "x $(touch pwned)").mkdir()
    terminal.type(b"exp validate x\t\n")
    terminal.until("x $(touch pwned): is a directory")
    assert not (exp.folder / "pwned").exists()
    terminal.type(b"exit\n")
    terminal.end()


def test_bash_runs_nothing_that_a_completion_names(exp: Exp) -> None:
    """A completed name is one word of bash, whatever characters it has, also in quotes."""
    for name in ("a$(touch PWNED)", "b;touch PWNED;", "c d", "e`touch PWNED`", "f\\$(touch PWNED)", "g*"):
        (exp.folder / name).mkdir()
        (exp.folder / name / "s.yaml").write_text("name: x\n", encoding="utf-8")
    script = exp.process(env={"_EXP_COMPLETE": "source_bash"}).stdout
    (exp.folder / "completion").write_text(script, encoding="utf-8")
    path = f"{exp.argv[0].rpartition('/')[0]}:/usr/bin:/bin"
    terminal = Terminal(["bash", "--norc", "-i"], env={**exp.env, "PATH": path, "PS1": "> "}, cwd=exp.folder)
    terminal.type(b". ./completion; shown() { shift 2; printf '[%s]' \"$@\"; }; echo ready\n")
    terminal.until("ready")
    for number, word in enumerate([*"abcg", "'a", '"a']):  # bash closes the quotes
        terminal.type(f"exp run {word}\t".encode())
        terminal.type(b"\x01shown \n")  # in front of the line
        terminal.type(f"echo done{number}$((1))\n".encode())
        terminal.until(f"done{number}1")
    terminal.type(b"exit\n")
    terminal.end()
    for shown in ("[a$(touch PWNED)/]", "[b;touch PWNED;/]", "[c d/]", "[g*/]"):
        assert shown in terminal.seen
    assert not (exp.folder / "PWNED").exists()


def test_names_that_a_script_would_evaluate_are_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with quotes, backslashes or control characters is not offered: zsh evaluates these."""
    monkeypatch.chdir(tmp_path)
    for name in ("a\\$(id).yaml", "a`id`.yaml", "a'.yaml", 'a".yaml', "a\n.yaml", "a\x1b.yaml", "aü.yaml"):
        (tmp_path / name).touch()
    assert completion.specs("a") == ["aü.yaml"]


def test_each_shell_gets_what_it_replaces(exp: Exp) -> None:
    """Bash gets the rest of the word; zsh and fish the whole word, with the option at its beginning."""
    exp("run", exp.spec(SWEEP), "-q")

    def bash(*words: str) -> list[str]:
        env = {"_EXP_COMPLETE": "complete_bash", "COMP_WORDS": "\n".join(words)}
        return exp(env={**env, "COMP_CWORD": str(len(words) - 1)}).stdout.split()

    def others(line: str, shell: str, **env: str) -> str:
        return exp(env={"_EXP_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line, **env}).stdout

    assert bash("exp", "logs", "sweep", "train/lr", "=") == ALL
    assert bash("exp", "logs", "sweep", "train/lr", "=", "2,opt", "=", "a") == ["adam"]
    assert bash("exp", "resume", "sweep", "--from", "=", "train/lr", "=", "2") == ALL[2:]
    assert bash("exp", "logs", "sweep", "train/lr", "=", "1,opt", "=", "sgd", "") == []
    for name in ("n$(t)", "n\x1b[2J", "n\nm"):
        (exp.folder / name).mkdir()
    assert bash("exp", "validate", "n") == ["'n$(t)/'"]
    typed = "exp resume sweep --from=train/lr=2,opt="
    fish = others(typed, "fish", _TYPER_COMPLETE_FISH_ACTION="get-args").split()
    assert fish == ["--from=train/lr=2,opt=adam", "--from=train/lr=2,opt=sgd"]
    assert '"--from=train/lr=2,opt=adam"\n"--from=train/lr=2,opt=sgd"' in others(typed, "zsh")
    assert '(("train/lr=1,opt=adam"\n' in others("exp logs sweep train/lr=1", "zsh")


SWEPT = """
name: swept
params:
  lr: 0.1
  opt: {choices: [adam, sgd, 'no word']}
  n: {type: integer, default: 3}
  deep: true
tasks:
  train: {command: 'true', matrix: {lr: [0.1, 0.25]}}
"""


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("", ["lr=", "opt=", "n=", "deep="]),
        ("o", ["opt="]),
        ("opt=", ["opt=adam", "opt=sgd"]),
        ("opt=adam,", ["opt=adam,sgd"]),
        ("opt=x", []),
        ("lr=", ["lr=0.1", "lr=0.25"]),
        ("lr=0.1,", ["lr=0.1,0.25"]),
        ("n=", ["n=3"]),
        ("deep=", ["deep=true"]),
        ("none=", []),
    ],
)
def test_a_sweep_is_completed_from_its_spec(exp: Exp, typed: str, wanted: list[str]) -> None:
    """First the params, then the values that the spec names for one; each value once."""
    path = str(exp.spec(SWEPT))
    assert sweep_completion.values(typer.Context(click.Command("run"), info_name="run"), typed) == []
    context = typer.Context(click.Command("run"))
    context.args = [path, "--sweep"]
    assert sweep_completion.values(context, typed) == wanted
    context.args, context.params = [], {"spec": path}
    assert sweep_completion.values(context, typed) == wanted


def test_a_shell_completes_a_sweep(exp: Exp) -> None:
    """What is no spec has no params, and no program is run."""
    path = exp.spec(SWEPT)
    (exp.folder / "program.py").write_text("open('ran', 'w')")
    (exp.folder / "bad.yaml").write_text("[")

    def complete(line: str) -> list[str]:
        env = {"_EXP_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
        return exp(env=env).stdout.split()

    assert "opt=sgd" in " ".join(complete(f"exp run {path} --sweep opt=s"))
    for spec in ("program.py", "bad.yaml", "missing.yaml"):
        context = typer.Context(click.Command("run"))
        context.args = [spec]
        assert sweep_completion.values(context, "l") == []
    assert not (exp.folder / "ran").exists()
