"""The command in a process of its own, which most tests save themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nemorun_cli.cli import app

if TYPE_CHECKING:
    from support.workspace import Exp, Result

SPEC = """
name: finished
params: {steps: 3}
tasks:
  a: {inline: 'echo "rows:=3" >>"$EXP_OUTPUT"; echo said'}
  b: {inline: "exit 3", dependencies: [a]}
  c: {inline: "true", dependencies: [b]}
"""
CALLS = {
    "init": ["--help"],
    "schema": ["tasks"],
    "validate": ["spec.yaml"],
    "run": ["spec.yaml", "--dry-run"],
    "resume": ["latest", "--dry-run"],
    "rerun": ["latest", "--dry-run"],
    "cancel": ["finished"],
    "list": ["--json"],
    "status": ["--json"],
    "attach": ["latest"],
    "logs": ["latest"],
    "why": ["latest", "c"],
    "wait": ["latest", "--json"],
    "show": ["latest", "--json"],
    "graph": ["latest"],
    "events": ["latest", "--json"],
    "metrics": ["latest"],
    "params": ["latest"],
    "files": ["latest"],
    "records": ["--json"],
    "compare": ["latest"],
    "diff": ["latest", "latest"],
    "report": ["latest", "-f", "-o", "report.html"],
    "tag": ["latest"],
    "note": ["latest"],
    "close": ["nobody/nothing"],
    "rm": ["--restore"],
    "login": ["http://example.org"],
    "logout": [],
    "whoami": [],
    "sync": ["--status"],
    "serve": ["--tls-key", "missing.pem"],
    "doctor": ["latest", "--json"],
    "fsck": ["latest"],
    "gc": ["--json"],
}


def stable(result: Result) -> tuple[int, str, str]:
    """A result without what differs from call to call: times, ids, and the name of the interpreter."""
    out, err = (re.sub(r"(?<=/)python[\d.]*|[\d.]+", "N", text) for text in (result.stdout, result.stderr))
    return result.code, out, err


def test_every_command_does_the_same_in_a_process_of_its_own(exp: Exp) -> None:
    """Called from Python, a command prints and returns what the installed one does."""
    assert list(CALLS) == list(app.COMMANDS)
    exp("run", exp.spec(SPEC), code=1)
    for command, arguments in CALLS.items():
        called = exp(command, *arguments, code=None)
        assert stable(called) == stable(exp.process(command, *arguments, code=None)), command
