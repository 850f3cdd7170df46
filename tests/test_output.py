"""Who may write to a terminal: one module of the command line, and programs of their own to their logs."""

from __future__ import annotations

import ast
import re
import traceback
from functools import cache
from pathlib import Path

import pytest

import nemorun_cli
from nemorun_cli.errors import SpecError, UnreadableWarning, UsageError
from nemorun_cli.model.problems import Problem

PACKAGE = Path(nemorun_cli.__file__).parent
WRITER = "cli/terminal.py"
DRAWER = "cli/live_text.py"
OTHERS = {
    "experiment/direct.py": "the traceback of a user's own function, in the user's own process",
    "experiment/listener_process.py": "the log of a plugin, escaped",
    "supervisor/process.py": "the log of a supervisor, escaped",
    "executors/run_partial.py": "the log of a task, which `exp logs` filters",
    "replication/pull.py": "a reason, for the program that started it and escapes it",
    "replication/keyring_process.py": "JSON, for the process that started it",
    "packagers/environments/maker_process.py": "the same",
    "supervisor/fingerprint_process.py": "the same",
    "scheduler/search/sampler_process.py": "the same; tracebacks, for its log",
    "replication/sender/process.py": "its usage, for who starts it by hand; then it has no streams",
}
PRINTING = {
    "print",
    "echo",
    "secho",
    "print_exc",
    "print_exception",
    "print_tb",
    "print_stack",
    "input",
    "prompt",
}
UNCHANGED = {"write_unchanged", "say_unchanged"}
HINT = re.compile(
    r"\bprint\w*\(|echo\(|prompt\(|input\(|std(?:out|err)\w*\.\w|write\(\s*[12],|\brich\b|_unchanged"
)
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
WRITING = {"write", "writelines", "buffer", "reconfigure"}
SAFE = {
    "cli/log_output.py": "filtered logs, and bytes for pipes",
    "cli/text_formats.py": "CSV, escaped unless --raw",
    "cli/commands/report.py": "a whole file for a pipe",
    "cli/commands/sync.py": "a line that is drawn again, with escaped texts",
}
"""Who may use the functions that do not escape."""


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """What could write or draw in each module, with the module's path."""
    paths = {
        str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")
    }
    kinds = (ast.Call, ast.Attribute, ast.Import, ast.ImportFrom)
    return [
        (path, node)
        for path, text in paths.items()
        if HINT.search(text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, kinds)
    ]


def writes(node: ast.AST) -> bool:
    """Whether this writes to a standard stream: `print`, `sys.stdout.write`, `os.write(2, …)` and others."""
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        first = node.args[0] if node.args else None
        is_descriptor = isinstance(first, ast.Constant) and first.value in (1, 2)
        return name in PRINTING or (name == "write" and is_descriptor)
    if isinstance(node, ast.Attribute) and node.attr in WRITING:
        stream = node.value
        return isinstance(stream, ast.Attribute) and stream.attr in STREAMS
    return False


def test_one_module_writes_to_terminals() -> None:
    """Nothing else prints, or writes to a standard stream, except programs whose output is a log."""
    found = {path for path, node in nodes() if writes(node)}
    assert found - {WRITER, DRAWER} == set(OTHERS)


@pytest.mark.parametrize(
    "line",
    ["print(x)", "sys.stderr.write(x)", "sys.stdout.buffer.write(x)", "os.write(2, x)", "typer.echo(x)"],
)
def test_what_writes_is_found(line: str) -> None:
    """The search sees the usual ways to write."""
    assert any(map(writes, ast.walk(ast.parse(line))))


def test_one_module_draws_with_rich() -> None:
    """Texts of rich are made in one module: of escaped text, for consoles that read no markup."""
    for path, node in nodes():
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
        assert path == DRAWER or not any(name.partition(".")[0] == "rich" for name in names), path
    calls = [node for path, node in nodes() if path == DRAWER and isinstance(node, ast.Call)]
    consoles = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Console"]
    for call in consoles:
        given = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
        assert (given["markup"], given["emoji"], given["highlight"]) == (False, False, False)
    assert consoles
    assert [ast.unparse(call) for call in calls if getattr(call.func, "attr", "") in ("print", "log")] == [
        "on.print(text, soft_wrap=True)"
    ]


def test_few_modules_write_what_is_not_escaped() -> None:
    """The functions of the terminal that do not escape are used for filtered logs and CSV only."""
    found = {path for path, node in nodes() if getattr(node, "attr", "") in UNCHANGED}
    assert found - {WRITER} == set(SAFE)


def test_what_python_prints_of_an_error_is_escaped() -> None:
    """In a traceback or a warning of a user's program, too, a message does not rewrite the terminal."""
    problem = Problem(message="bad \x1b[2J", path="tasks.a\nb", file="\u202es.yaml")
    for error in (UsageError("no \x1b]0;t\x07"), SpecError([problem]), UnreadableWarning("cannot \x9b2J")):
        shown = "".join(traceback.format_exception_only(error))
        assert shown.replace("\n", "").isprintable()
        assert "\\x" in shown
    assert UsageError("two\nlines").message == str(UsageError("two\nlines")) == "two\nlines"
