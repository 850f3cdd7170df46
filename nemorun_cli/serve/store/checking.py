"""Examines all replicas of a server: contents, rows, ledgers, and files that no replica has."""

from __future__ import annotations

import hashlib
import json
import shlex
import stat
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError, LedgerError, NotFoundError
from nemorun_cli.serve.store import missing_contents, replica_addresses, root_folder
from nemorun_cli.serve.store.replica_addresses import EXPERIMENTS, kind_of
from nemorun_cli.serve.store.store_refusal import StoreRefusal
from nemorun_cli.storage import ledger
from nemorun_cli.storage.paths import LEDGER
from nemorun_cli.system import owners, trees
from nemorun_cli.system.files import open_to_read, read_bytes
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.record_paths import RECORD

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from nemorun_cli.tracking.store.row_forms import Kind

CHECK_FORMAT: Final = "exp.check/1"
_BLOCK: Final = 1 << 20  # bytes read at a time
_ROWS_AT_ONCE: Final = 8 << 20  # bytes of rows that are parsed at a time
_DEPTH: Final = 5  # folders of an experiment's files: OWNER/HOME/experiments/NAME/ID
_KINDS: Final[dict[str, Kind | None]] = {
    "openings": "opening",
    "params": "params",
    "logs": "logs",
    "files": "files",
    "labels": "labels",
    "metrics": None,
    "tracks": None,
}
_SEND_AGAIN: Final = (
    "remove it ({remove}), and send it again from its own machine: exp sync {what} --url ADDRESS"
)
_SEND: Final = "on its machine: exp sync {what} --url ADDRESS --dash-root FOLDER"


@dataclass(frozen=True, slots=True)
class ReplicaProblem:
    """One file that is not as it should be.

    Attributes:
        kind: a word for scripts: content, missing, row, ledger, document, foreign, link, shared, unreadable.
        path: the file, below the folder of the replicas.
        message: what is wrong.
        remedy: what to do.
    """

    kind: str
    path: str
    message: str
    remedy: str


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        root: the folder of the replicas.
        records: the number of records.
        experiments: the number of experiments.
        files: the number of their files.
        size: the bytes of their files.
        problems: those found, in the order of the paths.
        notes: what may still arrive, in the same order.
    """

    root: Path
    records: int = 0
    experiments: int = 0
    files: int = 0
    size: int = 0
    problems: list[ReplicaProblem] = field(default_factory=list)
    notes: list[ReplicaProblem] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return LedgerError.exit_code if self.problems else 0

    def to_json(self) -> dict[str, Any]:
        """The document `exp.check/1`."""
        return {
            "schema": CHECK_FORMAT,
            "root": str(self.root),
            "is_sound": not self.problems,
            "records": self.records,
            "experiments": self.experiments,
            "files": self.files,
            "bytes": self.size,
            "problems": [asdict(problem) for problem in self.problems],
            "notes": [asdict(note) for note in self.notes],
        }


def check(root: Path) -> CheckReport:
    """Examine all replicas; nothing is changed, and a server may write meanwhile.

    Args:
        root: the folder of the replicas.

    Raises:
        NotFoundError: there is no such folder.
        UsageError: another user could have changed it.
    """
    if not root.is_dir():
        raise NotFoundError(f"there is no folder {root}", hint="name the folder of exp serve --root")
    root_folder.require_private(root)
    report = CheckReport(root)
    skipped = len(str(root)) + 1
    for visit in trees.walk(root):
        for entry in visit.entries:
            path = visit.path(entry.name)[skipped:]
            if path.startswith(f"{root_folder.OWN}/"):
                continue
            if entry.is_dir(follow_symlinks=False):
                _count(report, path)
                _look_for_missing(report, path)
            report.problems += _problems(report, path, entry)
    report.problems.sort(key=lambda problem: problem.path)
    report.notes.sort(key=lambda note: note.path)
    return report


def _count(report: CheckReport, path: str) -> None:
    parts = path.split("/")
    if parts[0] == EXPERIMENTS:
        report.experiments += len(parts) == _DEPTH + 1
    else:
        report.records += parts[-1] == RECORD


def _look_for_missing(report: CheckReport, path: str) -> None:
    """What a record names and lacks: damage once it has ended, a note as long as more may arrive."""
    if (prefix := missing_contents.prefix_of(path)) is None:
        return
    remedy = _SEND.format(what=shlex.quote(prefix))
    try:
        for lost in missing_contents.missing(report.root, prefix):
            message = f"{lost.named_by} names it, and it is not here"
            problem = ReplicaProblem("missing", f"{path}/{lost.path}", message, remedy)
            if lost.has_ended:
                report.problems.append(problem)
            else:
                message = f"{message} yet, or is lost"
                report.notes.append(replace(problem, message=message))
    except (ExpError, OSError):  # a link, or what cannot be read: that file is reported itself
        return


def _problems(report: CheckReport, path: str, entry: os.DirEntry[str]) -> Iterator[ReplicaProblem]:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # moved to the trash meanwhile
        return
    full = report.root / path
    if stat.S_ISLNK(status.st_mode):
        yield ReplicaProblem("link", path, "a symbolic link, which is not followed", _remove(full))
        return
    if not owners.is_unshared(status, owners.trusted()):
        yield ReplicaProblem(
            "shared",
            path,
            "other users may change it",
            f"chmod go-w {shlex.quote(str(full))}",
        )
    if stat.S_ISDIR(status.st_mode):
        return
    is_record, inner = _place(path)
    if not stat.S_ISREG(status.st_mode) or inner is None or kind_of(inner, is_record=is_record) is None:
        yield ReplicaProblem("foreign", path, "no file of a replica", f"move it out of {report.root}")
        return
    report.files += 1
    report.size += status.st_size
    try:
        yield from _damage(full, path, inner, is_record=is_record)
    except FileNotFoundError:
        return
    except OSError as error:
        yield ReplicaProblem("unreadable", path, f"it cannot be read: {error.strerror}", "repair the disk")


def _place(path: str) -> tuple[bool, str | None]:
    """Whether a file is of a record, and its path in the replica; None if it is in no replica."""
    parts = path.split("/")
    try:
        if parts[0] != EXPERIMENTS:
            return True, replica_addresses.of_record(Path(), parts)[1]
        owner, home, _, _, experiment_id, *inner = parts[1:]
        replica = replica_addresses.experiment_at(Path(), owner, home, experiment_id)
    except (StoreRefusal, ValueError):
        return False, None
    is_place = path.startswith(f"{replica.folder.partition('/')[2]}/")
    return False, "/".join(inner) if is_place else None


def _damage(full: Path, path: str, inner: str, *, is_record: bool) -> Iterator[ReplicaProblem]:
    folder = inner.partition("/")[0]
    again = _SEND_AGAIN.format(remove=_remove(full), what=shlex.quote(_name_of(path, is_record=is_record)))
    if is_record and folder == "blobs":
        if (checksum := _checksum(full)) != full.name:
            yield ReplicaProblem("content", path, f"its bytes have the SHA-256 {checksum}", again)
    elif is_record and folder in _KINDS and inner.endswith(row_files.SUFFIX):
        for flaw in _row_flaws(full, _KINDS[folder]):
            message = f"line {flaw.line} is not a row: {flaw.problem}"
            yield ReplicaProblem("row", path, message, f"if the original has another line, {again}")
    elif not is_record and inner == LEDGER:
        try:
            if b'"mark":' in read_bytes(full, follows_link=False):  # more than the begin of the first batch
                ledger.reader_of(full).read()
        except ExpError as error:
            yield ReplicaProblem("ledger", path, error.message, f"repair the original (exp fsck), {again}")
    elif inner.endswith(".json"):
        try:
            json.loads(read_bytes(full, follows_link=False))
        except (ValueError, RecursionError) as error:
            yield ReplicaProblem("document", path, f"it is not JSON: {error}", again)


def _name_of(path: str, *, is_record: bool) -> str:
    """The prefix of a record, or the id of an experiment, by the path of one of its files."""
    return path.partition(f"/{RECORD}/")[0] if is_record else path.split("/")[_DEPTH]


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with open_to_read(path, follows_link=False) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _row_flaws(path: Path, kind: Kind | None) -> Iterator[row_files.DamagedRow]:
    """The lines of a file that are not rows; an incomplete last line is none of them."""
    first, rest = 1, b""
    with open_to_read(path, follows_link=False) as stream:
        while block := stream.read(_ROWS_AT_ONCE):
            lines, end, rest = (rest + block).rpartition(b"\n")
            if end:
                data = lines + end
                yield from row_files.parse(data, str(path), kind, first=first)[1]
                first += data.count(b"\n")


def _remove(path: Path) -> str:
    return f"rm {shlex.quote(str(path))}"
