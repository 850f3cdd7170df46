"""The line at which bash ended an inline text: what makes bash record it, and how the record is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.storage.paths import AttemptFiles

if TYPE_CHECKING:
    from nemorun_cli.model.plan import Plan

LONGEST_RECORD: Final = 4200  # bytes: an exit code, a line, and a path of PATH_MAX
LONGEST_SCRIPT: Final = 1 << 20  # bytes of an inline text in which its line is looked up
LONGEST_TEXT: Final = 200  # characters of a line that are shown

# Precedes the text on its first line, so that every line keeps its number. It does nothing in other shells
# that are called bash. It writes only if the command ends the shell: not after `set +e`, and not in a
# subshell, whose failure its parent may ignore. It prints nothing, neither with `set -x` nor if the record
# cannot be written, and does not change the exit code.
RECORDER: Final = (
    """if [ -n "${BASH_VERSION-}" ]; then set -E; trap '{ case $-,$BASH_SUBSHELL in *e*,0) """
    """(set -- "$?" "$LINENO" "${BASH_SOURCE[0]#"$0"}"; umask 077; printf "%s %s %s\\n" "$@" """
    f""">|"${{0%/*}}/{AttemptFiles(Path()).failed_line.name}") ;; esac; }} 2>/dev/null || :' ERR; fi; """
)

_RECORD: Final = re.compile(r"(?P<code>\d{1,3}) (?P<line>\d{1,9}) (?P<file>[^\n]*)\n")


@dataclass(frozen=True, slots=True)
class FailedLine:
    """The line whose command ended an inline text; `file` is another file that the text read, or None.

    The task wrote the record, so a reader must not trust it; `text` is the line as written in the spec.
    """

    line: int
    file: str | None
    text: str | None

    def __str__(self) -> str:
        """`line 3: grep -q done log`, or `line 3 of ./lib.sh`."""
        if self.file is not None:
            return f"line {self.line} of {self.file}"
        return f"line {self.line}: {self.text}" if self.text else f"line {self.line}"


def script_text(plan: Plan) -> str | None:
    """The content of a plan's `script` file: its text, with the recorder if bash ends it at a failure."""
    return RECORDER + plan.script if plan.script is not None and plan.records_failed_line else plan.script


def read(files: AttemptFiles, exit_code: int | None) -> FailedLine | None:
    """The line that ended an attempt with this exit code; None if it is not known.

    A record with another exit code is of an earlier failure, which did not end the attempt.
    """
    match = _RECORD.fullmatch(_beginning(files, files.failed_line, LONGEST_RECORD))
    if match is None or int(match["code"]) != exit_code:
        return None
    number, file = int(match["line"]), match["file"][:LONGEST_TEXT] or None
    return FailedLine(number, file, None if file else _line(files, number))


def _line(files: AttemptFiles, number: int) -> str | None:
    text = _beginning(files, files.script, LONGEST_SCRIPT).removeprefix(RECORDER)
    lines = text.split("\n", number)
    return lines[number - 1].strip()[:LONGEST_TEXT] or None if 0 < number <= len(lines) else None


def _beginning(files: AttemptFiles, path: Path, size: int) -> str:
    """The first bytes of a file as text; empty if it cannot be read, or is a link out of a container."""
    try:
        with files.open(path) as stream:
            return stream.read(size).decode(errors="replace")
    except OSError:
        return ""
