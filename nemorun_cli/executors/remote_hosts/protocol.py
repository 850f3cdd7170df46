"""One round trip to the remote host: the shell text that is sent, and the parser of its output. Pure.

All commands are sent as one text through standard input, so that they appear in no process's arguments. They
are the body of a function, so that a truncated text runs nothing. A line with a random marker separates their
outputs. The remote host needs only POSIX sh, awk, xargs, head, tail and stat.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.storage.paths import AttemptFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MOST: Final = 4 << 20  # bytes of one file that one round trip fetches; the next one continues

# The files of an attempt that determine its state; the exit record is last, after all that precedes it.
_NAMES: Final = AttemptFiles(Path())
EVIDENCE: Final = (
    _NAMES.claim.name,
    _NAMES.timed_out.name,
    _NAMES.stopped.name,
    _NAMES.log.name,
    _NAMES.stderr.name,
    _NAMES.outputs.name,
    _NAMES.records.name,
    _NAMES.usage.name,
    _NAMES.samples.name,
    _NAMES.failed_line.name,
    _NAMES.exit.name,
)
GROWING: Final = (_NAMES.log.name, _NAMES.stderr.name, _NAMES.samples.name)  # only appended to

_HEAD: Final = """\
exp_trip() {{
umask 077
exp_mark={mark}
exp_rsync=$(command -v rsync)
{first}{prelude}exp_said() {{
    # Marker and exit code end a command's output; the marker alone ends its error output.
    exp_code=$?
    printf '\\n%s %s\\n' "$exp_mark" "$exp_code"
    printf '\\n%s\\n' "$exp_mark" >&2
}}
printf '\\n%s 0\\n' "$exp_mark"
printf '\\n%s\\n' "$exp_mark" >&2
"""

# Its output must not look like that of a command, and its syntax errors must not end the shell.
_FIRST: Final = """\
trap 'echo "the pre_command of the tunnel ended with exit code $?" >&2' EXIT
command eval {text} </dev/null >&2 || exit
trap - EXIT
"""
REFUSED: Final = "the pre_command of the tunnel ended with"

_LOOK: Final = """\
exp_look() {{
    cd -- {root} || return
    {{
        exp_known
        echo
        exp_folders |
            awk '{{ n = split("{names}", name, " "); for (i = 1; i <= n; i++) print $0 "/" name[i] }}' |
            xargs stat -c '%.3Y %s %n' -- 2>/dev/null
    }} | awk '
        !known && $0 == "" {{ known = 1; next }}
        !known {{ mtime[$3] = $1; size[$3] = $2; next }}
        {{
            there[$3] = 1
            from = $3 ~ /\\/({growing})$/ && $2 + 0 >= size[$3] + 0 ? size[$3] + 0 : 0
            if ($1 != mtime[$3] || $2 != size[$3]) print $1, $2, from, $3
        }}
        END {{ for (path in size) if (!(path in there)) print "deleted", 0, 0, path }}
    ' | while read -r exp_mtime exp_size exp_from exp_path; do
        printf '\\n%s %s %s %s %s\\n' "$exp_mark" "$exp_mtime" "$exp_size" "$exp_from" "$exp_path"
        [ "$exp_mtime" = deleted ] || tail -c "+$((exp_from + 1))" -- "$exp_path" | head -c {most}
    done
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A local copy of a remote file; `mtime` in the format `%.3Y` of stat."""

    path: str
    mtime: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedFiles:
    """What to check: folders of attempts, relative to `root`, and the local copies of their files.

    `names` are the files of an attempt, the exit record last.
    """

    root: str
    folders: Sequence[str]
    known: Sequence[KnownFile]
    names: Sequence[str] = EVIDENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePiece:
    """A new or changed file: its bytes from an offset; `data` is None for a deleted file."""

    path: str
    mtime: str
    size: int
    offset: int
    data: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutput:
    """The output, error output and exit code of one command."""

    code: int
    output: bytes
    complaint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTripReport:
    """The result of a round trip.

    Attributes:
        outputs: of the commands that finished, in order.
        pieces: of the files that are checked.
        is_whole: whether the round trip was completed.
        rest: the error output after the last command: ssh's own errors, if any.
    """

    outputs: Sequence[CommandOutput]
    pieces: Sequence[FilePiece]
    is_whole: bool
    rest: str


def put(path: str, text: str) -> str:
    """The shell text that writes a private file; `printf` is a builtin, so that no process shows the text.

    It is a new file: a link that a task has put in its place is not followed.
    """
    return f"rm -f -- {shlex.quote(path)} && printf %s {shlex.quote(text)} >{shlex.quote(path)}"


def script(
    commands: Iterable[str],
    watched: WatchedFiles | None,
    *,
    marker: str,
    pre_command: str | None = None,
    prelude: str = "",
) -> str:
    """The text of a round trip: the commands first, so that the files are newer than the answers.

    If `pre_command`, which runs before all of them, fails, none of them runs. `prelude` follows it.
    """
    first = _FIRST.format(text=shlex.quote(pre_command)) if pre_command else ""
    parts = [_HEAD.format(mark=marker, first=first, prelude=prelude)]
    parts += [f"{{ {command}\n}}; exp_said\n" for command in commands]
    if watched and watched.folders:
        known = "".join(f"{file.mtime} {file.size} {file.path}\n" for file in watched.known)
        folders = "".join(f"{folder}\n" for folder in watched.folders)
        parts += [_listing("exp_known", known), _listing("exp_folders", folders)]
        names, growing = " ".join(watched.names), "|".join(GROWING)
        look = _LOOK.format(root=shlex.quote(watched.root), names=names, growing=growing, most=MOST)
        parts += [look, "exp_look\n"]
    parts.append("printf '\\n%s end\\n' \"$exp_mark\"\n}\nexp_trip\n")
    return "".join(parts)


def _listing(name: str, lines: str) -> str:
    return f"{name}() {{ cat <<'exp-end'\n{lines}exp-end\n}}\n"


def parse(output: bytes, complaint: bytes, *, marker: str) -> RoundTripReport:
    """Parse the output and error output of a round trip."""
    outputs: list[CommandOutput] = []
    pieces: list[FilePiece] = []
    is_whole = False
    parts = re.split(rb"\n%b ([^\n]*)\n" % marker.encode(), output)
    complaints = complaint.split(b"\n%b\n" % marker.encode())
    # The output of login files precedes the first marker. An exit code follows the command's output; a file's
    # header precedes its bytes.
    for index, (head, body) in enumerate(_pairs(parts)):
        fields = head.decode(errors="replace").split(" ", 3)
        if fields == ["end"]:
            is_whole = True
        elif len(fields) == 1 and index:
            error = complaints[index] if index < len(complaints) else b""
            outputs.append(CommandOutput(code=int(fields[0]), output=parts[2 * index], complaint=error))
        elif len(fields) == 4:  # noqa: PLR2004 - time, size, offset, path
            mtime, size, offset, path = fields
            data = None if mtime == "deleted" else body
            pieces.append(FilePiece(path=path, mtime=mtime, size=int(size), offset=int(offset), data=data))
    if not is_whole and pieces:
        pieces.pop()  # it may be truncated
    rest = complaints[-1].decode(errors="replace").strip()
    return RoundTripReport(outputs=outputs, pieces=pieces, is_whole=is_whole, rest=rest)


def _pairs(parts: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The text after each marker on its line, with everything up to the next marker."""
    yield from zip(parts[1::2], parts[2::2], strict=True)
