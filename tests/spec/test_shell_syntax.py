"""Texts that run without a shell: syntax of a shell in them is a warning, unless it is quoted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.formats import checked

from nemorun_cli.spec import load
from nemorun_cli.spec.shell_syntax import shell_words

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a && b", ["&&"]),
        ("a&&b", ["a&&b"]),
        ("a || b", ["||"]),
        ("a | b |c", ["|", "|c"]),
        ("a; b ;", ["a;", ";"]),
        ("a > out", [">"]),
        ("a >> out", [">>"]),
        ("a 2>err.txt", ["2>err.txt"]),
        ("a 2>&1", ["2>&1"]),
        ("a < in <<EOF", ["<", "<<EOF"]),
        ("a &", ["&"]),
        ("echo $HOME ${HOME}/x $1", ["$HOME", "${HOME}/x", "$1"]),
        ("echo $(date) `date`", ["$(date)", "`date`"]),
        ("ls ~ ~/data", ["~", "~/data"]),
        ("rm *.tmp", ["*.tmp"]),
        ("cat part-?.txt part-[12].txt", ["part-?.txt", "part-[12].txt"]),
        ("a\n  && b", ["&&"]),
        ('say "a b"c|d', ['"a b"c|d']),
        ("echo it\\'s > out", [">"]),
        ("echo ${{ params.x | default('>') }} | b", ["|"]),
        ("echo x${{ params.x }}>out", ["x${{ params.x }}>out"]),
    ],
)
def test_unquoted_syntax_is_found(tmp_path: Path, text: str, words: list[str]) -> None:
    """Operators, variables, commands, the home and files, alone and within a word."""
    (tmp_path / "part-1.txt").touch()
    assert list(shell_words(text, tmp_path)) == words


@pytest.mark.parametrize(
    "text",
    [
        "python3 train.py --lr 0.1",
        "echo 'a && b' \"x > y\" \\| a\\;b \\$HOME",
        "echo '$HOME' '*.csv' \"*\" '~' \"it's > x\"",
        "curl https://example.org/?a=1&b=2",
        "train model.sizes=[1,2] a~b --out=~/x what? s/$/x/ cost:$",
        "cat none-?.txt 'part-?.txt'",
        "echo ${{ params.x > 1 and params.y | length }}",
        "echo ${{ '$HOME && *' }} '${{ params.x }}|'",
        "",
    ],
)
def test_what_a_shell_would_pass_on_is_not(tmp_path: Path, text: str) -> None:
    """Quoted words, expressions, and characters that mean nothing where they are."""
    (tmp_path / "part-1.txt").touch()
    assert list(shell_words(text, tmp_path)) == []


SPEC = """\
name: noted
params: {x: 1}
defaults:
  entrypoint: bash -c &&
secrets: {TOKEN: {command: echo token | head}}
tasks:
  list: {command: [echo, "&&", "*", $HOME]}
  text:
    command: >-
      echo ${{ params.x }}
      > out
  sweep: {command: "echo $X ${{ matrix.x }}", matrix: {x: [1, 2]}}
  group:
    group:
      - {command: "echo 'a | b'"}
      - {command: a; b, launcher: {wrap: nice >log}}
  script: {inline: "a && b | c > d"}
on_exit:
  clean: {command: rm *.tmp}
"""


def warned(document: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """The places of its warnings, each with line and column."""
    return {warning["path"]: (warning["line"], warning["column"]) for warning in document["warnings"]}


def test_every_text_without_a_shell_is_looked_at(exp: Exp) -> None:
    """Of tasks, members, handlers, defaults, launchers and secrets; each once, at its place in the file."""
    path = exp.spec(SPEC)
    document = checked(exp("validate", path, "--json").json)
    assert warned(document) == {
        "defaults.entrypoint": (4, 23),
        "secrets.TOKEN.command": (5, 39),
        "tasks.text.command": (11, 7),
        "tasks.sweep.command": (12, 26),
        "tasks.group.group.1.command": (16, 19),
        "tasks.group.group.1.launcher.wrap": (16, 47),
        "on_exit.clean.command": (19, 23),
    }
    assert [problem.to_json() for problem in load.read(path).warnings] == document["warnings"]
    option = exp("validate", path, "--set", "tasks.text.command=a|b", "--json").json
    assert [
        (each["file"], each["line"]) for each in option["warnings"] if each["path"] == "tasks.text.command"
    ] == [("--set tasks.text.command=a|b", None)]


def test_a_value_in_the_text_of_a_shell_is_looked_at(exp: Exp) -> None:
    """A value that a shell reads as code causes a warning; one that it gets as an argument does not."""
    spec = """
params: {v: 1}
defaults: {entrypoint: [bash, -e, -o, pipefail, -c, '${{ params.v }}']}
tasks:
  list: {command: [bash, -c, 'echo ${{ params.v }}']}
  text: {command: "nice /bin/sh -ec 'echo ${{ params.v }}'"}
  group: {group: [{command: [zsh, -lc, '${{ params.v }}']}]}
  safe: {command: [bash, -c, 'echo "$1"', bash, '${{ params.v }}']}
  file: {command: [bash, '${{ params.v }}', -c, '${{ params.v }}']}
  none: {command: [python3, -c, 'print(${{ params.v }})']}
"""
    document = checked(exp("validate", exp.spec(spec), "--json").json)
    places = [
        "defaults.entrypoint.5",
        "tasks.list.command.2",
        "tasks.text.command",
        "tasks.group.group.0.command.2",
    ]
    assert list(warned(document)) == places
    assert all("as code" in warning["message"] for warning in document["warnings"])


def test_warnings_reach_people_and_scripts(exp: Exp) -> None:
    """They go to standard error, whatever the output is, and into JSON; the exit code is the same."""
    path = exp.spec("tasks:\n  a: {command: echo a && echo b > c}\n  b: {command: [echo, '&&']}\n")
    line = (
        f'exp: warning: {path}:2:23: tasks.a.command: runs without a shell, so "&&", ">" are ordinary'
        " arguments (put shell text into inline:, or quote what is meant as it is: '&&')\n"
    )
    assert "no problems, 1 warning\n" in exp("validate", path).stdout
    for command in (["validate"], ["run", "--dry-run"], ["run"], ["run", "-d"], ["rerun", "latest"]):
        arguments = command if command[0] == "rerun" else [*command, path]
        quiet, document = exp(*arguments, "-q"), exp(*arguments, "--json")
        told = line if command[0] != "rerun" else quiet.stderr
        assert quiet.stderr.startswith(told)
        assert told.count("warning: ") == 1
        assert "warning" not in quiet.stdout
        assert document.stderr.startswith("exp: warning: ")
        assert list(warned(checked(json.loads(document.stdout)))) == ["tasks.a.command"]


def test_a_changed_spec_warns_too(exp: Exp) -> None:
    """A resume reports the warnings of the spec that it was given; without one it has none to report."""
    path = exp.spec("tasks: {a: {command: 'false'}}\n")
    exp("run", path, "-q", code=1)
    assert exp("resume", "latest", "--json", code=1).json["warnings"] == []
    changed = exp("resume", "latest", "--set", "tasks.a.command=true && false", "--accept-changes", "--json")
    assert list(warned(checked(changed.json))) == ["tasks.a.command"]
    assert changed.stderr.count("warning: ") == 1


def test_a_built_spec_warns_too(exp: Exp) -> None:
    """A program that builds a spec is warned about its texts, run by itself or by `exp`."""
    lines = [
        "from nemorun_cli import Builder, Command",
        'with Builder("b") as b:',
        '    b.add(Command("true && false"))',
        "    b.run()",
    ]
    program = exp.spec("\n".join(lines), "program.py")
    document = exp("validate", program, "--json").json
    assert warned(document) == {"tasks.true.command": (3, 5)}
    assert document["warnings"][0]["file"] == str(program)
