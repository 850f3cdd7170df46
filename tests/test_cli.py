from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from terminals import Terminal

from nemorun_cli.cli import app

if TYPE_CHECKING:
    from conftest import Exp

HELLO = """
name: hello
tasks:
  a: {inline: echo hi}
  b: {inline: echo ho, dependencies: [a]}
"""
HEAVY = {"pydantic", "docker", "jsonschema", "jinja2", "rich", "yaml", "psutil", "filelock"}


@pytest.mark.parametrize("name", app.COMMANDS)
def test_help_of_the_group_is_the_first_line_of_each_command(name: str) -> None:
    """`exp --help` tells of each command what the command tells of itself."""
    help_text = inspect.getdoc(app.build(name).callback) or ""
    assert help_text.splitlines()[0] == app.COMMANDS[name]


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_flag_can_be_denied(name: str) -> None:
    """Each boolean option has its `--no-…`."""
    flags = [parameter for parameter in app.build(name).params if getattr(parameter, "is_flag", False)]
    for flag in flags:
        assert any(text.startswith("--no-") for text in flag.secondary_opts), flag.opts


def test_help_lists_all_commands(exp: Exp) -> None:
    """`exp --help` shows every command with its line."""
    shown = exp("--help").stdout
    for name, line in app.COMMANDS.items():
        assert f"  {name} " in shown
        assert line.split()[0] in shown


def test_without_a_command_the_help_is_shown(exp: Exp) -> None:
    """`exp` alone is wrong usage, answered with the help."""
    assert "Usage: exp" in exp(code=2).stderr


def test_version(exp: Exp) -> None:
    """`exp --version` names the version."""
    assert exp("--version").stdout.startswith("exp ")


def test_status_loads_nothing_that_it_does_not_need(exp: Exp) -> None:
    """`exp status` on a pipe imports no library that takes long to load."""
    exp("run", exp.spec(HELLO))
    argv = [sys.executable, "-X", "importtime", *exp.argv, "status"]
    told = subprocess.run(argv, env=exp.env, capture_output=True, text=True, timeout=60, check=True).stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
    assert "nemorun_cli" in loaded
    assert not loaded & HEAVY


def test_an_unknown_command_gets_the_nearest(exp: Exp) -> None:
    """A mistyped command is wrong usage, and the one that was meant is named."""
    told = exp("statu", code=2)
    assert "did you mean 'status'" in told.stderr.lower()
    assert told.stdout == ""


def test_wrong_usage_is_a_document_for_scripts(exp: Exp) -> None:
    """With `--json` wrong usage is an `exp.error/1` on standard output."""
    document = exp("status", "--bogus", "--json", code=2).json
    assert document["schema"] == "exp.error/1"
    assert document["code"] == 2
    assert "--bogus" in document["message"]


@pytest.mark.parametrize("option", ["-p", "--set"])
def test_wrong_usage_of_an_option_names_its_commands_help(exp: Exp, option: str) -> None:
    """An option without its value is explained by the help of the command, not by that of all."""
    assert "hint: exp run --help" in exp("run", "spec.yaml", option, code=2).stderr


def test_an_error_is_a_document_for_scripts(exp: Exp) -> None:
    """With `--json` an error carries its exit code, its message and what to do."""
    told = exp("status", "nothing", "--json", code=3)
    assert told.json["code"] == 3
    assert "nothing" in told.json["message"]
    assert told.json["problems"] == []
    assert told.stderr == ""


def test_an_error_is_told_on_standard_error(exp: Exp) -> None:
    """Without `--json` an error leaves standard output empty and says what to do."""
    told = exp("status", "nothing", code=3)
    assert told.stdout == ""
    assert told.stderr.startswith("exp: ")
    assert "hint: " in told.stderr


def test_all_problems_of_a_spec_are_told_with_their_lines(exp: Exp) -> None:
    """Two mistakes are two problems, each with file, line, column, the line itself and the remedy."""
    spec = exp.spec("tasks:\n  a: {inlin: x}\n  b: {command: [true], dependencis: [a]}\n")
    told = exp("validate", spec, code=2)
    assert f"{spec}:2:7: tasks.a.inlin: " in told.stderr
    assert "dependencis" in told.stderr
    assert "  a: {inlin: x}" in told.stderr
    assert "did you mean inline?" in told.stderr
    problems = exp("validate", spec, "--json", code=2).json["problems"]
    assert (problems[0]["line"], problems[0]["column"]) == (2, 7)
    assert len(problems) >= 2


@pytest.mark.parametrize("arguments", [("list",), ("status", "--quiet"), ("list", "--json")])
def test_a_reader_that_leaves_is_no_fault(exp: Exp, arguments: tuple[str, ...]) -> None:
    """Output into a pipe that nobody reads ends the command quietly."""
    exp("run", exp.spec(HELLO))
    read, write = os.pipe()
    os.close(read)
    process = exp.start(*arguments, stdout=write)
    os.close(write)
    _, told = process.communicate(timeout=60)
    assert process.returncode == app.BROKEN_PIPE
    assert told == ""


def test_a_full_disk_is_told(exp: Exp) -> None:
    """Output that cannot be written is an error that says so, not lost in silence."""
    exp("run", exp.spec(HELLO))
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = exp.start("status", stdout=full)
        _, told = process.communicate(timeout=60)
    assert process.returncode == app.FAULT
    assert "No space left on device" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(exp: Exp, closed: str) -> None:
    """An experiment runs to its end whichever standard streams are closed, as no file takes their place."""
    spec = exp.spec(HELLO)
    line = f'"$0" run "$1" {closed}'
    done = subprocess.run(
        ["sh", "-c", line, *exp.argv, str(spec)], env=exp.env, cwd=exp.folder, timeout=60, check=False
    )
    assert done.returncode == 0
    assert exp("logs", "latest", "a").stdout == "hi\n"


def test_a_fault_keeps_its_traceback(exp: Exp) -> None:
    """What nobody foresaw is exit code 70 and a traceback in a file that is named."""
    program = """
import sys, types
from nemorun_cli.cli import app as cli
module = types.ModuleType("nemorun_cli.commands.boom")
def command() -> None:
    "Boom."
    raise ZeroDivisionError("boom")
module.command = command
sys.modules[module.__name__] = module
cli.COMMANDS["boom"] = "Boom."
sys.exit(cli.run(sys.argv[1:]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "boom"],
        env=exp.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == app.FAULT
    (kept,) = (exp.home / "faults").iterdir()
    assert str(kept) in done.stderr
    assert "Traceback" not in done.stderr
    assert "ZeroDivisionError: boom" in kept.read_text(encoding="utf-8")
    assert kept.stat().st_mode & 0o077 == 0


def test_a_fault_without_a_home_is_kept_elsewhere(exp: Exp, tmp_path: Path) -> None:
    """Where the home cannot take the traceback, the folder for temporary files does."""
    exp.home.mkdir(mode=0o500)
    (exp.home / "faults").touch(mode=0o400)  # root may write anywhere, but not into a file as into a folder
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    program = (
        "import sys; from nemorun_cli.cli import app as cli; cli.application = None; sys.exit(cli.run([]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**exp.env, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == app.FAULT
    (kept,) = temporary.iterdir()
    assert str(kept) in done.stderr


def test_nothing_is_coloured_on_a_pipe(exp: Exp) -> None:
    """No escape sequence reaches a pipe."""
    told = exp("run", exp.spec(HELLO))
    assert "\x1b" not in told.stdout + told.stderr + exp("status").stdout


def test_colours_on_a_terminal_can_be_turned_off(exp: Exp) -> None:
    """A terminal gets colours, unless NO_COLOR is set."""
    exp("run", exp.spec(HELLO))
    env = {name: value for name, value in exp.env.items() if name != "NO_COLOR"}
    coloured = Terminal([*exp.argv, "status"], env=env, cwd=exp.folder)
    assert coloured.end() == 0
    assert "\x1b[32mSUCCEEDED" in coloured.seen
    plain = Terminal(["env", "NO_COLOR=1", *exp.argv, "status"], env=env, cwd=exp.folder)
    assert plain.end() == 0
    assert "SUCCEEDED" in plain.seen
    assert "\x1b[32m" not in plain.seen


def _complete(exp: Exp, line: str) -> list[str]:
    words = line.split(" ")
    env = {"_EXP_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return exp(env=env).stdout.split()


def test_the_shell_completes_commands(exp: Exp) -> None:
    """Commands complete by their beginning."""
    assert _complete(exp, "exp st") == ["status"]


def test_the_shell_completes_experiments_and_tasks(exp: Exp) -> None:
    """Experiments complete by name and id, tasks by the ids of the experiment before them."""
    spec = exp.spec(HELLO)
    first = exp("run", spec, "-q").stdout.strip()
    assert set(_complete(exp, "exp status he")) == {"hello", first}
    assert _complete(exp, f"exp status {first} ") == ["a", "b"]
    assert _complete(exp, "exp resume hello --from ") == ["a", "b"]


def test_the_shell_completes_specs(exp: Exp) -> None:
    """A spec completes to YAML files and folders."""
    exp.spec(HELLO, "specs/one.yaml")
    exp.spec(HELLO, "specs/notes.txt")
    assert _complete(exp, "exp run specs/") == ["specs/one.yaml"]


def test_documents_are_one_line_each(exp: Exp) -> None:
    """A JSON document is one line of ASCII, whatever is in it."""
    spec = exp.spec("name: hello\ndescription: Zwölf\ntasks: {a: {command: 'true'}}\n")
    exp("run", spec)
    (line,) = exp("status", "--json").stdout.splitlines()
    assert line.isascii()
    assert json.loads(line)["description"] == "Zwölf"
