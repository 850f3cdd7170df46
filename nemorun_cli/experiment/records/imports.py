"""Takes over records of ML-Dash: once and exactly, whatever interrupts it.

All that is written of one record is a function of what is read: the opening has an id that is made of the
source, and each of its files grows to what the source has. So a second import adds nothing, and after
`kill -9` another one writes the rest.
"""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import hashlib
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import InvalidValueError, LedgerError, NotFoundError
from nemorun_cli.experiment.records import growing_files
from nemorun_cli.experiment.records.foreign_records import ForeignRecord, ForeignStream, ImportProblem
from nemorun_cli.model import clock
from nemorun_cli.model.status import ExperimentStatus, Reason
from nemorun_cli.replication import ml_dash_rows
from nemorun_cli.replication.ml_dash_rows import RefusedRowError
from nemorun_cli.system.files import descriptor_to_change, make_folder, write_whole
from nemorun_cli.tracking.metrics import ABOUT
from nemorun_cli.tracking.store import json_values, row_files, save_formats, sessions
from nemorun_cli.tracking.store.blob_store import Blobs
from nemorun_cli.tracking.store.file_index import join
from nemorun_cli.tracking.store.record_paths import Place, check_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.experiment.records.foreign_records import ForeignFile, ImportSource
    from nemorun_cli.replication.ml_dash_rows import Encode

IMPORT_FORMAT: Final = "exp.import/1"
CLIENT: Final = "ml-dash import"  # in the first line of an opening
NO_STATUS: Final = "ML-Dash keeps no status in its folders"
BATCH: Final = 1 << 20  # bytes that are compared and written at once
NOT_OURS: Final = (
    "there is a record with this prefix that is not from this source: import it below another prefix"
)


class ImportChoice(NamedTuple):
    """What is taken over, and to where.

    Attributes:
        root: the folder of all records.
        below: a prefix in front of those of the source; empty for none.
        only: a glob of prefixes of the source.
        status: of records whose source has none; None for FAILED with the reason `lost`.
        is_dry: whether nothing is written.
    """

    root: str
    below: str = ""
    only: str = "*"
    status: ExperimentStatus | None = None
    is_dry: bool = False


@dataclass
class ImportedRecord:
    """What an import did for one record.

    Attributes:
        prefix: here.
        origin: where it is from.
        status: that it has here.
        is_new: whether it was not here before.
        added: how many params, log lines, metric rows, track entries and files were added.
        problems: what could not be taken over.
    """

    prefix: str
    origin: str
    status: str | None = None
    is_new: bool = False
    added: Counter[str] = field(default_factory=Counter)
    problems: list[ImportProblem] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The entry in the JSON document."""
        kinds = ("params", "logs", "metrics", "tracks", "files")
        return {
            "prefix": self.prefix,
            "origin": self.origin,
            "status": self.status,
            "is_new": self.is_new,
            "added": {kind: self.added[kind] for kind in kinds},
            "left_out": [problem._asdict() for problem in self.problems],
        }


def run(source: ImportSource, choice: ImportChoice) -> Iterator[ImportedRecord | ImportProblem]:
    """Take over the records of a source, one at a time."""
    for record in source.records():
        if isinstance(record, ImportProblem):
            yield record
        elif fnmatch.fnmatchcase(record.prefix, choice.only):
            yield _imported(record, choice)


def _imported(record: ForeignRecord, choice: ImportChoice) -> ImportedRecord:
    prefix = "/".join(part for part in (choice.below, record.prefix) if part)
    done = ImportedRecord(prefix, record.origin)
    try:
        place = Place(choice.root, check_prefix(prefix))
        opening = _Import(record, place, choice, done)
        opening.take()
    except InvalidValueError as error:
        done.problems.append(ImportProblem(prefix, error.message))
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
            raise LedgerError(f"cannot write below {choice.root}: {error.strerror}") from error
        done.problems.append(ImportProblem(error.filename or prefix, error.strerror or str(error)))
    done.problems += record.problems
    return done


class _Import:
    """The import of one record."""

    def __init__(
        self, record: ForeignRecord, place: Place, choice: ImportChoice, done: ImportedRecord
    ) -> None:
        self._record = record
        self._place = place
        self._choice = choice
        self._done = done
        self._is_dry = choice.is_dry
        name = hashlib.sha256(f"{record.prefix}\0{record.opened!r}".encode()).hexdigest()[:16]
        second = clock.stamp(record.opened)[:19].replace("-", "").replace(":", "")
        self._opening = f"0001-{second}Z-import-{name}"

    def take(self) -> None:
        """Write what is not here yet."""
        known = sessions.ids(self._place) if Path(self._place.openings).is_dir() else []
        others = [each for each in known if each != self._opening]
        if others:
            raise InvalidValueError(NOT_OURS)
        self._done.is_new = not known
        lock = None if self._is_dry else self._open()
        try:
            self._set_params()
            self._grow(self._place.logs, self._record.logs, ml_dash_rows.log_line, "logs")
            for metric in self._record.metrics:
                self._metric(metric)
            for track in self._record.tracks:
                if (folder := self._folder("track", track.name)) is not None:
                    self._grow(folder, track, ml_dash_rows.track_line, "tracks")
            self._save_files()
            self._end()
        finally:
            if lock is not None:
                os.close(lock)

    def _open(self) -> int:
        """Write the first line of the opening; another import of the record waits."""
        make_folder(self._place.openings)
        path = self._place.opening(self._opening)
        first = {
            "event": "opened",
            "format": sessions.FORMAT,
            "id": self._opening,
            "time": clock.stamp(self._record.opened),
            "prefix": self._place.prefix,
            "locked": False,
            **self._about(self._record.about, self._record.origin),
            "host": CLIENT,  # it is no process of this machine
            "boot": "",
            "client": CLIENT,
            "origin": self._record.origin,
        }
        line = f"{json_values.dump(first)}\n".encode("ascii")
        descriptor = descriptor_to_change(path, appends=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        existing = os.pread(descriptor, len(line) + 1, 0)
        if len(existing) < len(line) and b"\n" not in existing:  # new, or cut while it was written
            os.ftruncate(descriptor, 0)
            os.write(descriptor, line)
        elif not existing.startswith(line):
            self._problem(
                path, "its description, tags or metadata changed at the source after the first import"
            )
        return descriptor

    def _about(self, about: Mapping[str, Any], where: str) -> dict[str, Any]:
        try:
            return ml_dash_rows.plain_about(about)
        except InvalidValueError as error:
            self._problem(where, error.message)
            return ml_dash_rows.plain_about({name: about[name] for name in about if name != "metadata"})

    def _problem(self, where: str, reason: str) -> None:
        self._done.problems.append(ImportProblem(where, reason))

    def _folder(self, kind: str, name: str | None) -> str | None:
        try:
            return self._place.metric(name) if kind == "metric" else self._place.track(name or "")
        except InvalidValueError as error:
            self._problem(f"{self._record.origin}: {kind} {name!r:.80}", error.message)
            return None

    def _file(self, folder: str) -> str:
        return f"{folder}/{self._opening}{row_files.SUFFIX}"

    def _metric(self, metric: ForeignStream) -> None:
        folder = self._folder("metric", metric.name)
        if folder is None:
            return
        self._grow(folder, metric, ml_dash_rows.metric_line, "metrics")
        about = self._about(metric.about, f"{self._record.origin}: metric {metric.name!r:.80}")
        path = f"{folder}/{ABOUT}"
        if about and not self._is_dry and Path(folder).is_dir():
            write_whole(path, f"{json_values.dump(about)}\n".encode("ascii"))

    def _encoded(self, stream: ForeignStream, encode: Encode, kind: str) -> Iterator[bytes]:
        title = kind if stream.name is None else f"{kind} {stream.name!r:.80}"
        for number, row in enumerate(stream.rows()):
            try:
                yield encode(row)
            except RefusedRowError as error:
                self._problem(f"{self._record.origin}: {title}, row {number}", str(error))

    def _grow(self, folder: str, stream: ForeignStream, encode: Encode, kind: str) -> None:
        """Append to a file what it lacks of the rows of the source, of which it has the first ones."""
        path = self._file(folder)
        growth = growing_files.grown(path, self._encoded(stream, encode, kind), is_dry=self._is_dry)
        self._done.added[kind] += growth.added
        if growth.differs:
            self._problem(
                path, "the source had other rows at the first import: what differs is not taken over"
            )

    def _appended(self, folder: str, lines: list[bytes]) -> None:
        """Append lines to a file that only imports write; an incomplete last line is removed first."""
        if not lines or self._is_dry:
            return
        make_folder(folder)
        descriptor = descriptor_to_change(self._file(folder), appends=True)
        try:
            growing_files.cut_incomplete(descriptor)
            os.write(descriptor, b"".join(lines))
        finally:
            os.close(descriptor)

    def _set_params(self) -> None:
        """Set the params that have other values here, and remove those that the source has no more."""
        have = self._rows(self._place.params)
        current: dict[str, Any] = {}
        for row in have:
            for name in row.get("unset", ()):
                current.pop(name, None)
            current |= row.get("set", {})
        line, refused = ml_dash_rows.params_line(self._record.params)
        for reason in refused:
            self._problem(f"{self._record.origin}: params", reason)
        wanted = json_values.load(line.decode("ascii"))["set"] if line else {}
        changed = {name: value for name, value in wanted.items() if not _same(current, name, value)}
        removed = [name for name in current if name not in wanted]
        change = {**({"set": changed} if changed else {}), **({"unset": removed} if removed else {})}
        if change:
            self._done.added["params"] += len(changed)
            self._appended(self._place.params, [json_values.encode_row(self._record.params_set, change)])

    def _rows(self, folder: str) -> list[row_files.Row]:
        try:
            return row_files.read(self._file(folder))[0]
        except FileNotFoundError:
            return []

    def _save_files(self) -> None:
        if not self._is_dry:
            for left in Path(self._place.blobs).glob("staged-*"):  # of an import that was killed
                left.unlink(missing_ok=True)
        saved: dict[str, dict[str, Any]] = {}
        deleted: set[str] = set()
        for row in self._rows(self._place.files):
            if "saved" in row:
                saved[row["saved"]["id"]] = row["saved"]
                deleted.discard(_path(row["saved"]))
            if "updated" in row:
                saved.get(row["updated"]["id"], {}).update(row["updated"])
            deleted |= set(row.get("deleted", ()))
        for file in self._record.files:
            try:
                self._save(file, saved.get(file.id), deleted)
            except (OSError, InvalidValueError, NotFoundError, LedgerError) as error:
                self._problem(f"{self._record.origin}: file {file.path}", str(error))
        self._delete_removed(saved, deleted)

    def _delete_removed(self, saved: Mapping[str, Mapping[str, Any]], deleted: set[str]) -> None:
        """Mark files as deleted that the source has no more."""
        ids, paths = ({getattr(file, name) for file in self._record.files} for name in ("id", "path"))
        for identity, entry in saved.items():
            path = _path(entry)
            if identity not in ids and path not in paths and path not in deleted:
                line = json_values.encode_row(self._record.params_set, {"deleted": [path]})
                self._appended(self._place.files, [line])
                deleted.add(path)

    def _save(self, file: ForeignFile, saved: dict[str, Any] | None, deleted: set[str]) -> None:
        path = join("", file.path)
        about: dict[str, Any] = {"description": None, "tags": [], "bindrs": [], "metadata": None}
        about |= self._about(file.about, f"{self._record.origin}: file {path}")
        lines = []
        if saved is None:
            lines.append(self._new_file(file, path, about))
            self._done.added["files"] += 1
        elif any(saved.get(name) != value for name, value in about.items()):
            lines.append(json_values.encode_row(file.uploaded, {"updated": {"id": file.id, **about}}))
        if file.deleted and path not in deleted:
            lines.append(json_values.encode_row(file.uploaded, {"deleted": [path]}))
        self._appended(self._place.files, lines)

    def _new_file(self, file: ForeignFile, path: str, about: Mapping[str, Any]) -> bytes:
        above, _, name = path.rpartition("/")
        checksum, size = file.checksum or "", 0
        if not self._is_dry:
            with file.open() as source, Blobs(self._place.blobs).staging() as staged:
                shutil.copyfileobj(source, staged.stream, BATCH)
            checksum, size = staged.done()
            if file.checksum and file.checksum.lower() != checksum:
                reason = f"its content has the SHA-256 {checksum}, and ML-Dash noted {file.checksum}"
                self._problem(f"{self._record.origin}: file {path}", f"{reason}: the content is taken over")
        entry = {
            "id": file.id,
            "path": f"/{above}",
            "filename": name,
            "checksum": checksum,
            "sizeBytes": size,
            "contentType": file.content_type or save_formats.content_type(name),
            **about,
            "uploadedAt": clock.stamp(file.uploaded),
        }
        return json_values.encode_row(file.uploaded, {"saved": entry})

    def _end(self) -> None:
        """Write the end of the opening, which is RUNNING as long as the source says so."""
        status = self._record.status
        details: dict[str, Any] = {}
        if status is None:
            status = self._choice.status or ExperimentStatus.FAILED
            details = {} if self._choice.status else {"reason": str(Reason.LOST), "message": NO_STATUS}
        self._done.status = str(status)
        if status not in sessions.ENDS or self._is_dry:
            return
        read = sessions.read(self._place, self._opening)
        if read is not None and read.end is None:
            ended = clock.stamp(self._record.ended if self._record.ended is not None else self._record.opened)
            event = {"event": "ended", "time": ended, "status": str(status), **details}
            descriptor = descriptor_to_change(self._place.opening(self._opening), appends=True)
            try:
                growing_files.cut_incomplete(descriptor)
                os.write(descriptor, f"{json_values.dump(event)}\n".encode("ascii"))
            finally:
                os.close(descriptor)
        elif read is not None:
            self._done.status = str(read.status)
            if self._record.status is not None and read.status is not status:
                self._problem(
                    self._place.opening(self._opening),
                    f"it was {read.status} when it was imported, and is {status} now",
                )


def _same(current: Mapping[str, Any], name: str, value: Any) -> bool:
    return name in current and json_values.dump(current[name]) == json_values.dump(value)


def _path(saved: Mapping[str, Any]) -> str:
    return f"{str(saved['path']).strip('/')}/{saved['filename']}".strip("/")
