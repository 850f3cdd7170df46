from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.terminals import Terminal

from nemorun_cli.cli import app, commands
from nemorun_cli.cli.subcommands import SUBCOMMANDS

if TYPE_CHECKING:
    from support.workspace import Exp

HELLO = """
name: hello
tasks:
  a: {inline: echo hi}
  b: {inline: echo ho, dependencies: [a]}
"""
HEAVY = {"pydantic", "docker", "jsonschema", "jinja2", "rich", "yaml", "psutil", "filelock"}


HELP_WIDTH = 80  # columns


def parse(name: str, *arguments: str) -> dict[str, Any]:
    """The parameters that a command gets from these arguments; the command does not run."""
    parameters: dict[str, Any] = app.build(name).make_context(name, list(arguments)).params
    return parameters


def required(command: Any) -> list[str]:
    """A value for each required argument of a command."""
    return ["x" for parameter in command.params if parameter.required]


@pytest.mark.parametrize("name", app.COMMANDS)
def test_help_of_the_group_is_the_first_line_of_each_command(name: str) -> None:
    """`exp --help` shows for each command the first line of the command's own help."""
    help_text = inspect.getdoc(app.build(name).callback) or ""
    assert help_text.splitlines()[0] == app.COMMANDS[name]


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_flag_has_a_negative_form(name: str) -> None:
    """Each flag of each command accepts its `--no-…` form, which sets it to false."""
    command = app.build(name)
    for flag in command.params:
        if getattr(flag, "is_flag", False):
            negative = app.negative(flag)
            assert negative is not None
            assert parse(name, *required(command), negative)[flag.name] is False
            assert parse(name, *required(command), flag.opts[-1])[flag.name] is True


def test_the_last_form_of_a_flag_wins(exp: Exp) -> None:
    """A negative form overrides the flag before it, so that a script can append it."""
    exp("run", exp.spec(HELLO))
    assert exp("list", "--json", "--no-json", "-q", "--no-quiet").stdout.startswith("ID ")


@pytest.mark.parametrize("name", app.COMMANDS)
def test_help_of_a_command_fits_and_shows_examples(exp: Exp, name: str) -> None:
    """Each help fits 80 columns, has examples on lines of their own, and omits the `--no-…` forms."""
    lines = exp(name, "--help", env={"COLUMNS": str(HELP_WIDTH)}).stdout.splitlines()
    assert max(map(len, lines)) <= HELP_WIDTH
    examples = lines.index(f"  {app.EXAMPLES}")
    assert lines[examples + 1].startswith(f"    exp {name}")
    own = "--no-cache"  # an option of that name, with no other form
    assert [line for line in lines if "--no-" in line.replace(own, "")] == []


@pytest.mark.parametrize("name", app.COMMANDS)
def test_examples_are_valid(name: str) -> None:
    """Each example in the help of a command is a command line that `exp` accepts."""
    help_text = inspect.getdoc(app.build(name).callback) or ""
    examples = help_text.partition(f"{app.EXAMPLES}\n")[2].splitlines()
    assert examples
    for example in examples:
        line = re.split(r" {3,}", example.strip())[0]  # a description follows after several spaces
        for part in re.split(r" (?:&&|\||>) ", line):
            words = shlex.split(part)
            if words[0] == "exp":
                parse(words[1], *words[2:])


def test_help_lists_all_commands(exp: Exp) -> None:
    """`exp --help` shows every command exactly once, below the heading of its section."""
    lines = exp("--help", env={"COLUMNS": str(HELP_WIDTH)}).stdout.splitlines()
    assert max(map(len, lines)) <= HELP_WIDTH
    wanted = []
    for heading, section in app.SECTIONS.items():
        wanted += ["", f"{heading}:", *(f"  {name:<10}{line}" for name, line in section.items())]
    assert lines[-len(wanted) :] == wanted
    names = [name for section in app.SECTIONS.values() for name in section]
    modules = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    having = [
        name for name in modules if hasattr(importlib.import_module(f"{commands.__name__}.{name}"), "command")
    ]
    assert sorted([*names, *(name.replace(" ", "_") for name in SUBCOMMANDS)]) == sorted(having)


def test_without_a_command_the_help_is_shown(exp: Exp) -> None:
    """`exp` without a command is wrong usage and prints the help."""
    assert "Usage: exp" in exp(code=2).stderr


def test_version(exp: Exp) -> None:
    """`exp --version` names the version."""
    assert exp("--version").stdout.startswith("exp ")


@pytest.mark.parametrize("arguments", [("status",), ("--help",), ("run", "--help")])
def test_light_commands_import_no_heavy_library(exp: Exp, arguments: tuple[str, ...]) -> None:
    """`exp status` on a pipe and the help import no library that takes long to load."""
    exp("run", exp.spec(HELLO))
    argv = [sys.executable, "-X", "importtime", *exp.argv, *arguments]
    report = subprocess.run(argv, env=exp.env, capture_output=True, text=True, timeout=60, check=True).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in report.splitlines()}
    assert "nemorun_cli" in imported
    assert not imported & HEAVY


def test_an_unknown_command_gets_the_nearest(exp: Exp) -> None:
    """A mistyped command is wrong usage, and the error names the nearest command."""
    result = exp("statu", code=2)
    assert "did you mean 'status'" in result.stderr.lower()
    assert result.stdout == ""


def test_wrong_usage_is_a_document_for_scripts(exp: Exp) -> None:
    """With `--json`, wrong usage prints an `exp.error/1` document on standard output."""
    document = exp("status", "--bogus", "--json", code=2).json
    assert document["schema"] == "exp.error/1"
    assert document["code"] == 2
    assert "--bogus" in document["message"]


@pytest.mark.parametrize("option", ["-p", "--set"])
def test_wrong_usage_of_an_option_names_its_commands_help(exp: Exp, option: str) -> None:
    """The error about an option without a value points to the help of its command."""
    assert "hint: exp run --help" in exp("run", "spec.yaml", option, code=2).stderr


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("run s.yaml lr=3", "run s.yaml -p lr=3"),
        ("run s.yaml -p a=1 train.lr=3 -q", "run s.yaml -p a=1 -p train.lr=3 -q"),
        ("validate s.yaml run.max_parallel=2 'x=a b'", "validate s.yaml --set run.max_parallel=2 -p 'x=a b'"),
        ("resume s lr=3", "resume s -p lr=3"),
        ("run s.yaml lr", "run --help"),
        ("status s a b=1", "status --help"),
    ],
)
def test_an_assignment_without_its_option_gets_the_right_command(exp: Exp, given: str, meant: str) -> None:
    """A value that is given as a plain argument is wrong usage, whose hint is a command line that works."""
    result = exp(*shlex.split(given), code=2)
    assert "got unexpected extra argument" in result.stderr
    assert f"hint: exp {meant}\n" in result.stderr
    if "=" in meant:
        parse(*shlex.split(meant))


def test_an_error_is_a_document_for_scripts(exp: Exp) -> None:
    """With `--json`, an error document contains the exit code, the message and the problems."""
    result = exp("status", "nothing", "--json", code=3)
    assert result.json["code"] == 3
    assert "nothing" in result.json["message"]
    assert result.json["problems"] == []
    assert result.stderr == ""


def test_an_error_is_reported_on_standard_error(exp: Exp) -> None:
    """Without `--json`, an error goes to standard error with a hint and leaves standard output empty."""
    result = exp("status", "nothing", code=3)
    assert result.stdout == ""
    assert result.stderr.startswith("exp: ")
    assert "hint: " in result.stderr


def test_all_problems_of_a_spec_are_reported_with_their_lines(exp: Exp) -> None:
    """Each mistake is a problem of its own, with file, line, column, the source line and a remedy."""
    spec = exp.spec("tasks:\n  a: {inlin: x}\n  b: {command: [true], dependencis: [a]}\n")
    result = exp("validate", spec, code=2)
    assert f"{spec}:2:7: tasks.a.inlin: " in result.stderr
    assert "dependencis" in result.stderr
    assert "  a: {inlin: x}" in result.stderr
    assert "did you mean inline?" in result.stderr
    problems = exp("validate", spec, "--json", code=2).json["problems"]
    assert (problems[0]["line"], problems[0]["column"]) == (2, 7)
    assert len(problems) >= 2


@pytest.mark.parametrize("arguments", [("list",), ("status",), ("list", "--json")])
def test_a_reader_that_leaves_is_no_fault(exp: Exp, arguments: tuple[str, ...]) -> None:
    """A command whose output pipe was closed exits quietly."""
    exp("run", exp.spec(HELLO))
    read, write = os.pipe()
    os.close(read)
    process = exp.start(*arguments, stdout=write)
    os.close(write)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == app.BROKEN_PIPE
    assert stderr == ""


def test_a_removed_working_folder_is_told(exp: Exp) -> None:
    """In a folder that was removed, a relative path is wrong usage; what needs no folder works."""
    exp.spec("tasks: {a: {command: 'true'}}")
    exp.spec("", "gone/x")

    def called(words: str) -> subprocess.CompletedProcess[str]:
        script = f"rm -r ../gone; {shlex.join(exp.argv)} {words}"
        folder = exp.folder / "gone"
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            ["bash", "-c", script], cwd=folder, env=exp.env, capture_output=True, text=True, check=False
        )

    refused = called("run ../spec.yaml")
    assert refused.returncode == 2
    assert "the working folder was removed" in refused.stderr
    assert called("list").returncode == 0


def test_a_full_disk_is_reported(exp: Exp) -> None:
    """A failed write to standard output is reported as an error."""
    exp("run", exp.spec(HELLO))
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = exp.start("status", stdout=full)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == app.FAULT
    assert "No space left on device" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(exp: Exp, closed: str) -> None:
    """An experiment completes whichever standard streams are closed, as no file gets their descriptors."""
    spec = exp.spec(HELLO)
    line = f'"$0" run "$1" {closed}'
    done = subprocess.run(
        ["sh", "-c", line, *exp.argv, str(spec)], env=exp.env, cwd=exp.folder, timeout=60, check=False
    )
    assert done.returncode == 0
    assert exp("logs", "latest", "a").stdout == "hi\n"


def test_a_fault_keeps_its_traceback(exp: Exp) -> None:
    """An unexpected error is exit code 70, and its message names the file with the traceback."""
    program = """
import sys, types, typer
from nemorun_cli.cli import app as cli
module = types.ModuleType("nemorun_cli.cli.commands.boom")
many = lambda name: typer.Option([], name)
def command(words: list[str], param: list[str] = many("-p"), sets: list[str] = many("--set")) -> None:
    "Boom."
    raise ZeroDivisionError("boom")
module.command = command
sys.modules[module.__name__] = module
cli.COMMANDS["boom"] = "Boom."
sys.exit(cli.run(sys.argv[1:]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "boom", "-p", "key=hush", "--set=a.b=hush", "-pc=hush", "x=1"],
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
    text = kept.read_text(encoding="utf-8")
    assert "ZeroDivisionError: boom" in text
    assert "boom -p key=*** --set=a.b=*** -pc=*** x=1\n" in text, "values may be secret"
    assert kept.stat().st_mode & 0o077 == 0


def test_a_fault_without_a_home_is_kept_elsewhere(exp: Exp, tmp_path: Path) -> None:
    """If the home directory is not writable, the traceback is saved in the folder for temporary files."""
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
    """Output to a pipe contains no escape sequences."""
    result = exp("run", exp.spec(HELLO))
    assert "\x1b" not in result.stdout + result.stderr + exp("status").stdout


def test_colours_on_a_terminal_can_be_turned_off(exp: Exp) -> None:
    """Output to a terminal is coloured unless NO_COLOR is set."""
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
    """The shell completes commands by prefix."""
    assert _complete(exp, "exp st") == ["status"]


def test_the_shell_completes_commands_of_several_words(exp: Exp) -> None:
    """The shell completes each word of a longer command, and then its options."""
    assert _complete(exp, "exp serve ") == ["check", "token"]
    assert _complete(exp, "exp serve token ") == ["add", "list", "revoke"]
    assert _complete(exp, "exp serve token r") == ["revoke"]
    assert "--expires" in _complete(exp, "exp serve token add alice --exp")
    assert _complete(exp, "exp serve token add alice --scope w") == ["write"]
    assert "--behind-proxy" in _complete(exp, "exp serve --b")


def test_a_longer_command_names_itself(exp: Exp) -> None:
    """Help, usage and errors of a command of several words have all of its words."""
    assert "Usage: exp serve token add [OPTIONS] USER" in exp("serve", "token", "add", "--help").stdout
    assert "exp serve token add --help" in exp("serve", "token", "add", code=2).stderr
    listed = exp("serve", "--help").stdout
    assert all(f"  {name} " in listed for name in SUBCOMMANDS if name.startswith("serve "))
    assert "there are: exp serve token add" in exp("serve", "token", code=2).stderr


def test_the_shell_completes_experiments_and_tasks(exp: Exp) -> None:
    """The shell completes experiments by name and id, and tasks by the ids of the preceding experiment."""
    spec = exp.spec(HELLO)
    first = exp("run", spec, "-q").stdout.strip()
    assert set(_complete(exp, "exp status he")) == {"hello", first}
    assert _complete(exp, f"exp status {first} ") == ["a", "b"]
    assert _complete(exp, "exp resume hello --from ") == ["a", "b"]


def test_the_shell_completes_specs(exp: Exp) -> None:
    """The shell completes specs to YAML files and folders."""
    exp.spec(HELLO, "specs/one.yaml")
    exp.spec(HELLO, "specs/notes.txt")
    assert _complete(exp, "exp run specs/") == ["specs/one.yaml"]


def test_documents_are_one_line_each(exp: Exp) -> None:
    """A JSON document is one line of ASCII, whatever its content."""
    spec = exp.spec("name: hello\ndescription: Zwölf\ntasks: {a: {command: 'true'}}\n")
    exp("run", spec)
    (line,) = exp("status", "--json").stdout.splitlines()
    assert line.isascii()
    assert json.loads(line)["description"] == "Zwölf"
