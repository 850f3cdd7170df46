"""Reads a `.dash` folder, which ML-Dash 0.6.27 and 0.11.0 write in local mode."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from nemorun_cli.errors import NotFoundError
from nemorun_cli.experiment.records.foreign_records import (
    ForeignFile,
    ForeignRecord,
    ForeignStream,
    ImportProblem,
    ImportSource,
    described,
    moment,
)
from nemorun_cli.system.files import open_to_read, read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXPERIMENT: Final = "experiment.json"
UNNAMED: Final = "None"  # the folder of the unnamed metric
LONGEST_LINE: Final = 1 << 28  # bytes


def source(folder: Path) -> ImportSource:
    """The records in and below a folder.

    Raises:
        NotFoundError: there is no such folder, or it has no records of ML-Dash.
    """
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}")
    found = list(_folders(folder))
    if not found:
        raise NotFoundError(
            f"{folder} has no records of ML-Dash: no file {EXPERIMENT} is in it or below it",
            hint="name the folder that ML-Dash was given as dash_root, which is .dash unless it was set",
        )

    def records() -> Iterator[ForeignRecord | ImportProblem]:
        for each in found:
            try:
                yield _record(folder, each)
            except (OSError, ValueError, RecursionError) as error:
                yield ImportProblem(str(each / EXPERIMENT), f"it cannot be read: {error}")

    return ImportSource(str(folder), records)


def _folders(folder: Path) -> Iterator[Path]:
    """The folders of records, sorted; links are not followed."""
    for path, names, files in os.walk(folder):
        names.sort()
        if EXPERIMENT in files:
            yield Path(path)


def _record(root: Path, folder: Path) -> ForeignRecord:
    about = _object(folder / EXPERIMENT)
    prefix = about.get("prefix")
    if not isinstance(prefix, str) or not prefix.strip("/"):
        prefix = folder.relative_to(root).as_posix()
    opened = moment(about.get("created_at"), 0.0)
    problems: list[ImportProblem] = []
    if not opened:
        problems.append(ImportProblem(str(folder / EXPERIMENT), "it has no time in created_at"))
    reading = _Folder(folder, problems)
    params = reading.optional("parameters.json")
    data = params.get("data", {})
    if not isinstance(data, dict):
        problems.append(ImportProblem(str(folder / "parameters.json"), "its data are not an object"))
        data = {}
    return ForeignRecord(
        prefix=prefix.strip("/"),
        origin=str(folder),
        about=described(about),
        opened=opened,
        ended=moment(about.get("updated_at"), opened),
        status=None,
        params=data,
        params_set=moment(params.get("updatedAt"), opened),
        logs=ForeignStream(None, {}, lambda: reading.lines("logs/logs.jsonl")),
        metrics=list(reading.metrics()),
        tracks=list(reading.tracks()),
        files=reading.files(),
        problems=problems,
    )


def _object(path: Path) -> dict[str, Any]:
    value = json.loads(read_bytes(path, follows_link=False))
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - of the file
    return value


class _Folder:
    """The parts of one record's folder."""

    def __init__(self, folder: Path, problems: list[ImportProblem]) -> None:
        self._folder = folder
        self._problems = problems

    def optional(self, name: str) -> dict[str, Any]:
        """A JSON object in a file; empty if it is missing, or with a problem if it cannot be read."""
        path = self._folder / name
        try:
            return _object(path)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            self._problems.append(ImportProblem(str(path), f"it cannot be read: {error}"))
            return {}

    def lines(self, name: str) -> Iterator[Any]:
        """The rows of a file of JSON lines; those that cannot be read are problems."""
        path = self._folder / name
        try:
            stream = open_to_read(path, follows_link=False)
        except FileNotFoundError:
            return
        except OSError as error:
            self._problems.append(ImportProblem(str(path), f"it cannot be read: {error.strerror}"))
            return
        with stream:
            for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE), b""), 1):
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError) as error:
                    where = f"{path}:{number}"
                    self._problems.append(ImportProblem(where, f"this line is not a row: {error}"))

    def _streams(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The folders of metrics or tracks, with what ML-Dash notes about each."""
        folder = self._folder / kind
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if (path / EXPERIMENT).exists():  # a record whose prefix is below that of this one
                continue
            if (path / "data.jsonl").exists():
                yield path.name, self.optional(f"{kind}/{path.name}/metadata.json")

    def metrics(self) -> Iterator[ForeignStream]:
        """The metrics, each row with the time of ML-Dash's flush if it has no own one."""
        for folder, about in self._streams("metrics"):
            name = about.get("name") if isinstance(about.get("name"), str) else folder
            file = f"metrics/{folder}/data.jsonl"
            yield ForeignStream(None if name == UNNAMED else name, described(about), self._points(file))

    def _points(self, name: str) -> Callable[[], Iterator[Any]]:
        def rows() -> Iterator[Any]:
            for row in self.lines(name):
                data = row.get("data") if isinstance(row, dict) else None
                if isinstance(data, dict) and "_ts" not in data:
                    data = {**data, "_ts": moment(row.get("createdAt"), 0.0)}
                yield row if data is None else data

        return rows

    def tracks(self) -> Iterator[ForeignStream]:
        """The tracks."""
        for folder, about in self._streams("tracks"):
            topic = about.get("topic") if isinstance(about.get("topic"), str) else folder
            name = f"tracks/{folder}/data.jsonl"
            yield ForeignStream(topic, {}, lambda name=name: self.lines(name))  # type: ignore[misc] # a default

    def files(self) -> list[ForeignFile]:
        """The saved files."""
        listed = self.optional("files/.files_metadata.json").get("files", [])
        found = []
        for entry in listed if isinstance(listed, list) else ():
            if not isinstance(entry, dict) or not all(
                isinstance(entry.get(key), str) for key in ("id", "filename")
            ):
                where = str(self._folder / "files/.files_metadata.json")
                self._problems.append(ImportProblem(where, "an entry has no id or no name"))
                continue
            found.append(self._file(entry))
        return found

    def _file(self, entry: dict[str, Any]) -> ForeignFile:
        folder, name = str(entry.get("path") or "").strip("/"), str(entry["filename"])
        inner = "/".join(part for part in (folder, str(entry["id"]), name) if part)
        checksum, kind = entry.get("checksum"), entry.get("contentType")

        @contextmanager
        def opened() -> Iterator[IO[bytes]]:
            path = self._folder / "files" / inner
            with open_to_read(path, follows_link=False, inside=self._folder) as stream:
                yield stream

        return ForeignFile(
            id=str(entry["id"]),
            path=f"{folder}/{name}".strip("/"),
            checksum=checksum if isinstance(checksum, str) else None,
            about=described(entry),
            content_type=kind if isinstance(kind, str) else None,
            uploaded=moment(entry.get("uploadedAt"), 0.0),
            deleted=entry.get("deletedAt") is not None,
            open=opened,
        )
