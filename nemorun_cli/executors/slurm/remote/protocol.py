"""One round trip to the far side: the shell text that is sent there, and what comes back. Pure.

All commands go in one text by standard input, so that no argument of any process shows them, and as the
body of a function, so that a text that was cut short runs nothing. What they print is told apart by a line
that nobody can know beforehand. Only POSIX sh, awk, xargs, head, tail and stat are needed there.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MOST: Final = 4 << 20  # bytes of one file that one trip brings; the next one brings more

# The files of an attempt that tell how it stands.
EVIDENCE: Final = (
    "claim", "running", "near-its-limit", "timed-out", "stood-back", "step",
    "log", "outputs", "records", "usage", "exit.json",
)  # fmt: skip
GROWS: Final = "log"  # is only ever appended to

_HEAD: Final = """\
exp_trip() {{
umask 077
exp_mark={mark}
exp_rsync=$(command -v rsync)
# What is not on the PATH of a session without a terminal may be on that of a login.
if ! command -v sbatch >/dev/null 2>&1 && [ -r /etc/profile ]; then . /etc/profile; fi >/dev/null 2>&1
exp_ask() {{
    # One of Slurm's commands, with just that environment which it gets on a machine of the cluster.
    exp_settings=$1 exp_path=$2 exp_name=$3
    shift 3
    if ! exp_program=$(command -v -- "$exp_name"); then
        echo "there is no $exp_name on PATH" >&2
        return 127
    fi
    eval "set -- $exp_settings \\"PATH=\\$exp_path\\" \\"\\$exp_program\\" \\"\\$@\\""
    env -i "$@" </dev/null
}}
exp_said() {{
    # The exit code ends what a command printed; on standard error the mark alone.
    exp_code=$?
    printf '\\n%s %s\\n' "$exp_mark" "$exp_code"
    printf '\\n%s\\n' "$exp_mark" >&2
}}
printf '\\n%s 0\\n' "$exp_mark"
printf '\\n%s\\n' "$exp_mark" >&2
"""

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
        !told && $0 == "" {{ told = 1; next }}
        !told {{ mtime[$3] = $1; size[$3] = $2; next }}
        {{
            there[$3] = 1
            from = $3 ~ /\\/{grows}$/ && $2 + 0 >= size[$3] + 0 ? size[$3] + 0 : 0
            if ($1 != mtime[$3] || $2 != size[$3]) print $1, $2, from, $3
        }}
        END {{ for (path in size) if (!(path in there)) print "gone", 0, 0, path }}
    ' | while read -r exp_mtime exp_size exp_from exp_path; do
        printf '\\n%s %s %s %s %s\\n' "$exp_mark" "$exp_mtime" "$exp_size" "$exp_from" "$exp_path"
        [ "$exp_mtime" = gone ] || tail -c "+$((exp_from + 1))" -- "$exp_path" | head -c {most}
    done
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A file as it is known on this side; `mtime` as `%.3Y` of stat writes it."""

    path: str
    mtime: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedFiles:
    """What to look at: folders of attempts, relative to `root`, and what is known of their files."""

    root: str
    folders: Sequence[str]
    known: Sequence[KnownFile]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePiece:
    """A file that is new or has changed: its bytes from an offset on; None for one that is gone."""

    path: str
    mtime: str
    size: int
    offset: int
    data: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutput:
    """What one command printed, and its exit code."""

    code: int
    output: bytes
    complaint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTripReport:
    """What a trip brought back.

    Attributes:
        said: by the commands, as far as the trip came.
        pieces: of the files that are looked at.
        is_whole: whether it came to its end.
        rest: what was printed to standard error behind all commands: ssh's own complaints, if any.
    """

    said: Sequence[CommandOutput]
    pieces: Sequence[FilePiece]
    is_whole: bool
    rest: str


def ask(argv: Sequence[str], *, settings: Sequence[str], fixed: Mapping[str, str], path: str) -> str:
    """The text that runs one of Slurm's commands.

    Args:
        argv: the command.
        settings: names of variables that it gets as they are there.
        fixed: variables that it gets besides.
        path: its PATH.
    """
    passed = " ".join(f'${{{name}+"{name}=${name}"}}' for name in settings)
    given = " ".join(shlex.quote(f"{name}={value}") for name, value in fixed.items())
    return f"exp_ask {shlex.quote(f'{passed} {given}')} {shlex.join([path, *argv])}"


def put(path: str, text: str) -> str:
    """The text that writes a private file; `printf` is the shell's own, so that no process shows it."""
    return f"printf %s {shlex.quote(text)} >|{shlex.quote(path)}"


def script(commands: Iterable[str], watched: WatchedFiles | None, *, mark: str) -> str:
    """The whole text of a trip: the commands first, so that what is looked at is newer than what they say."""
    parts = [_HEAD.format(mark=mark)]
    parts += [f"{{ {command}\n}}; exp_said\n" for command in commands]
    if watched and watched.folders:
        known = "".join(f"{one.mtime} {one.size} {one.path}\n" for one in watched.known)
        folders = "".join(f"{folder}\n" for folder in watched.folders)
        parts += [_listing("exp_known", known), _listing("exp_folders", folders)]
        look = _LOOK.format(root=shlex.quote(watched.root), names=" ".join(EVIDENCE), grows=GROWS, most=MOST)
        parts += [look, "exp_look\n"]
    parts.append("printf '\\n%s end\\n' \"$exp_mark\"\n}\nexp_trip\n")
    return "".join(parts)


def _listing(name: str, lines: str) -> str:
    return f"{name}() {{ cat <<'exp-end'\n{lines}exp-end\n}}\n"


def parse(output: bytes, complaint: bytes, *, mark: str) -> RoundTripReport:
    """What a trip brought back."""
    said: list[CommandOutput] = []
    pieces: list[FilePiece] = []
    is_whole = False
    parts = re.split(rb"\n%b ([^\n]*)\n" % mark.encode(), output)
    complaints = complaint.split(b"\n%b\n" % mark.encode())
    # Whatever login files print comes before the first mark. A command's code follows what it printed, and
    # a file's head comes before it.
    for index, (head, body) in enumerate(_pairs(parts)):
        fields = head.decode(errors="replace").split(" ", 3)
        if fields == ["end"]:
            is_whole = True
        elif len(fields) == 1 and index:
            told = complaints[index] if index < len(complaints) else b""
            said.append(CommandOutput(code=int(fields[0]), output=parts[2 * index], complaint=told))
        elif len(fields) == 4:  # noqa: PLR2004 - time, size, offset, path
            mtime, size, offset, path = fields
            data = None if mtime == "gone" else body
            pieces.append(FilePiece(path=path, mtime=mtime, size=int(size), offset=int(offset), data=data))
    if not is_whole and pieces:
        pieces.pop()  # it may have been cut short
    rest = complaints[-1].decode(errors="replace").strip()
    return RoundTripReport(said=said, pieces=pieces, is_whole=is_whole, rest=rest)


def _pairs(parts: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Each mark's own text, with what follows it."""
    yield from zip(parts[1::2], parts[2::2], strict=True)
