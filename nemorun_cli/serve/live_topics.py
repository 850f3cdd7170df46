"""What a live stream can be about: the version of each topic, and what was appended since a position."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qsl

from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.experiment.records import metric_keys, targets
from nemorun_cli.serve import attempt_logs
from nemorun_cli.serve.index.columns import TIME
from nemorun_cli.serve.index.experiment_index import HERE, ExperimentPlace
from nemorun_cli.serve.index.record_index import root_id
from nemorun_cli.serve.index.series_view import position_of
from nemorun_cli.serve.record_access import record_at
from nemorun_cli.tracking.store.record_paths import Place, check_path, check_prefix
from nemorun_cli.views import known_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from nemorun_cli.serve.index.index import Index
    from nemorun_cli.serve.index.series_view import Piece, SeriesView
    from nemorun_cli.storage.paths import ExperimentFiles

LONGEST: Final = 2048  # characters
FORMS: Final = (
    "records, experiments, record:PREFIX, curve:PREFIX?key=KEY&root=ROOT, experiment:OWNER/HOME/ID, or "
    "log:OWNER/HOME/ID?task=TASK&attempt=N"
)
LARGEST_TAIL: Final = 1 << 18  # bytes of a log in one event
MOST_POINTS: Final = 10_000  # of a curve in one event
NOWHERE: Final = ExperimentPlace("", "", "")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic; equal ones are looked at once for all streams.

    Attributes:
        text: as the client wrote it.
        prefix: that the caller must be allowed to read; None for what everybody may ask for.
    """

    text: str
    prefix: str | None = None
    has_tail: ClassVar[bool] = False
    is_quick: ClassVar[bool] = True  # its version needs no look at many files

    def version(self, index: Index) -> str:
        """What differs once it has changed.

        Raises:
            NotFoundError: it does not exist.
            LedgerError: it cannot be read.
        """
        raise NotImplementedError

    def tail(self, index: Index, position: Any) -> tuple[dict[str, Any] | None, Any]:
        """What was appended since a position, and the position after it; None if there is nothing."""
        del index, position
        return None, None


@dataclass(frozen=True, slots=True)
class ListTopic(Topic):
    """The list of all records, or of all experiments.

    Attributes:
        user: whose list it is; empty if all users have the same.
        judge: whether the user may read a prefix; None if all may be read.
    """

    user: str = ""
    judge: Callable[[str], bool] | None = field(default=None, compare=False)

    def version(self, index: Index) -> str:
        """A number that grows with each change, or a digest of what the user may read."""
        index.fresh(lambda _: None)
        part = index.records if self.text == "records" else index.experiments
        number = f"{id(index):x}-{part.version}"
        if self.judge is None:
            return number
        known, digest = index.digests.get((self.text, self.user), ("", ""))
        if known != number:
            rows = index.cache.read(_SHOWN[self.text], judge=self.judge)
            digest = hashlib.sha256("\n".join(entry for (entry,) in rows).encode()).hexdigest()[:16]
            index.digests[self.text, self.user] = number, digest
        return digest


_SHOWN: Final = {
    "records": "SELECT entry FROM records WHERE is_shown(prefix) ORDER BY root, prefix",
    "experiments": "SELECT entry FROM experiments WHERE is_shown(owner || '/' || home || '/' || id) "
    "ORDER BY owner, home, id",
}


@dataclass(frozen=True, slots=True)
class RecordTopic(Topic):
    """All that a record contains, without the contents of files; `root` as in `record_at`."""

    root: str | None = None
    is_quick: ClassVar[bool] = False

    def version(self, index: Index) -> str:
        """A digest of the sizes of its files."""
        assert self.prefix is not None  # noqa: S101 - a record has one
        return _sizes(_record_folder(index, self.prefix, self.root), without="blobs")


@dataclass(frozen=True, slots=True)
class ExperimentTopic(Topic):
    """The state of an experiment."""

    place: ExperimentPlace = NOWHERE

    def version(self, index: Index) -> str:
        """The size of its ledger, and what no ledger records: a lost supervisor, a later end."""
        files = _files(index, self.place)
        status = os.stat(files.ledger)  # noqa: PTH116 - it is asked for often
        size = f"{status.st_size}-{status.st_mtime_ns}"
        if index.site.root is not None:
            return size
        state = index.fresh(lambda fresh: fresh.experiments.state(self.place._replace(home=HERE)))
        return f"{size}-{state}"


@dataclass(frozen=True, slots=True)
class LogTopic(Topic):
    """The log of an attempt, with what is appended to it."""

    place: ExperimentPlace = NOWHERE
    task: str = ""
    attempt: int = 1
    stream: str = "log"
    begin: int | None = None
    has_tail: ClassVar[bool] = True

    def version(self, index: Index) -> str:
        """Its size."""
        return str(self._size(_files(index, self.place)))

    def _size(self, files: ExperimentFiles) -> int:
        try:
            return os.stat(  # noqa: PTH116 - it is asked for often
                attempt_logs.path_of(files.attempt(self.task, self.attempt), self.stream),
                follow_symlinks=False,
            ).st_size
        except OSError:
            return 0

    def tail(self, index: Index, position: Any) -> tuple[dict[str, Any] | None, Any]:
        """Whole characters from a byte on; with secrets only whole lines, as half a secret is not masked."""
        files = _files(index, self.place)
        size = self._size(files)
        if not isinstance(position, int):
            position = min(size, size if self.begin is None else self.begin)
            return {"from": position, "to": position, "text": ""}, position
        if position > size:
            return {"reset": True, "from": 0, "to": 0, "text": ""}, 0
        if position == size:
            return None, position
        attempt = files.attempt(self.task, self.attempt)
        reader = attempt_logs.masked_reader(self._secrets(index, files))
        with attempt.open(attempt_logs.path_of(attempt, self.stream)) as stream:
            end = min(size, position + LARGEST_TAIL)
            if reader is None:
                stream.seek(position)
                data = stream.read(end - position)
            else:
                data = b"".join(reader(stream, position, end))
                data = data[: data.rfind(b"\n") + 1] if end - position < LARGEST_TAIL else data
        data = _whole_characters(data)
        if not data:
            return None, position
        text = data.decode(errors="replace")
        return {"from": position, "to": position + len(data), "text": text}, position + len(data)

    @staticmethod
    def _secrets(index: Index, files: ExperimentFiles) -> list[str]:
        if index.site.root is not None:
            return []
        from nemorun_cli.storage.paths import Home  # noqa: PLC0415 - only for logs of this machine

        snapshot = index.experiments.look(Home(files.home), files)
        return list(known_secrets.of_experiment(files, snapshot.spec, snapshot.history).values())


@dataclass(frozen=True, slots=True)
class CurveTopic(Topic):
    """A metric of a record, with the numbers that are appended to it; `root` as in `record_at`."""

    key: str = ""
    root: str | None = None
    has_tail: ClassVar[bool] = True
    is_quick: ClassVar[bool] = False

    def version(self, index: Index) -> str:
        """A digest of the sizes of the files of all metrics, and of which openings there are."""
        assert self.prefix is not None  # noqa: S101 - a record has one
        folder = _record_folder(index, self.prefix, self.root)
        return f"{_sizes(f'{folder}/metrics')}-{_sizes(f'{folder}/openings', has_sizes=False)}"

    def tail(self, index: Index, position: Any) -> tuple[dict[str, Any] | None, Any]:
        """The numbers of rows that were not seen yet; `reset` if rows that were seen are superseded now.

        The position has for each file how many rows were seen, and how many of these count.
        """
        assert self.prefix is not None  # noqa: S101 - a record has one
        chosen = targets.under(record_at(index, self.prefix, self.root))
        with index.series.reading(chosen, also=[self.key]) as views:
            found = [(view, name) for view in views for name in view.fields() if view.columns(name)]
            titles = metric_keys.titles((view.name, name) for view, name in found)
            matching = metric_keys.matching(self.key, titles)
            pieces = [
                (view, name, piece)
                for view, name in found
                if (view.name, name) in matching[:1]
                for piece in view.pieces
            ]
            now = position_of([piece for _, _, piece in pieces])
            if not isinstance(position, dict):
                return {"reset": True}, now
            if (
                not all(_is_as_before(piece, position) for _, _, piece in pieces)
                or position.keys() - now.keys()
            ):
                return {"reset": True}, now
            points = _points(pieces, position)
        return ({"points": points} if points["value"] else None), now


def _is_as_before(piece: Piece, position: dict[str, Any]) -> bool:
    """Whether as many of the rows that were seen count as before."""
    seen, counted = position.get(os.path.basename(piece.columns.path), (0, 0))  # noqa: PTH119 - as text
    return bool(sum(max(0, min(end, seen) - first) for first, end in piece.ranges) == counted)


def _points(pieces: list[tuple[SeriesView, str, Piece]], position: dict[str, Any]) -> dict[str, list[Any]]:
    """The numbers of the rows after a position, with their axes; None where a row has none."""
    points: dict[str, list[Any]] = {"step": [], "epoch": [], "time": [], "value": []}
    for _, name, piece in pieces:
        seen = position.get(os.path.basename(piece.columns.path), (0, 0))[0]  # noqa: PTH119 - as text
        columns = piece.columns.columns
        value = columns.get(name)
        if value is None:
            continue
        for first, end in piece.ranges:
            begin, stop = value.at(max(first, seen), end) if end > seen else (0, 0)
            for index in range(begin, stop):
                row = value.row(index)
                points["value"].append(_plain(value.values[index]))
                for word, axis in (("step", "step"), ("epoch", "epoch"), ("time", TIME)):
                    source = columns.get(axis)
                    at = (0, 0) if source is None else source.at(row, row + 1)
                    number = None if source is None or at[0] == at[1] else _plain(source.values[at[0]])
                    points[word].append(number)
    return {name: values[max(0, len(values) - MOST_POINTS) :] for name, values in points.items()}


def _plain(value: float) -> float | str | None:
    """The value in JSON, as in the documents but for NaN, which is null."""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return None if value != value else value  # noqa: PLR0124 - NaN


def _record_folder(index: Index, prefix: str, word: str | None) -> str:
    """The folder of the files of a record."""
    for root in index.roots():
        if word is not None and root_id(root) != word:
            continue
        place = Place(root, prefix)
        if os.path.isdir(place.openings):  # noqa: PTH112 - it is asked for often
            return place.record
    raise NotFoundError(f"there is no record {prefix!r}")


def _files(index: Index, place: ExperimentPlace) -> ExperimentFiles:
    found = index.experiments.files(place)
    if found is None:
        raise NotFoundError(f"there is no experiment {'/'.join(place)!r}")
    return found[1]


def _sizes(folder: str, *, without: str = "", has_sizes: bool = True) -> str:
    """A digest of the sizes of all files in a folder, or of their names alone."""
    digest = hashlib.sha256()
    pending = [folder]
    while pending:
        above = pending.pop()
        try:
            with os.scandir(above) as entries:
                inner = sorted((entry.name, entry.is_dir(follow_symlinks=False), entry) for entry in entries)
        except OSError:
            continue
        for name, is_folder, entry in inner:
            if is_folder:
                pending += [entry.path] if name != without else []
            else:
                digest.update(os.fsencode(f"{entry.path}\0{_size(entry) if has_sizes else ''}\n"))
    return digest.hexdigest()[:16]


def _size(entry: os.DirEntry[str]) -> int:
    """The size of a file; -1 if it was replaced or removed meanwhile."""
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return -1


def _whole_characters(data: bytes) -> bytes:
    """The bytes without the beginning of a character of UTF-8 at the end."""
    for back in range(1, min(4, len(data) + 1)):
        lead = data[-back]
        if lead >= 0xC0:  # noqa: PLR2004 - the first byte of a character of several
            needed = 2 + (lead >= 0xE0) + (lead >= 0xF0)  # noqa: PLR2004 - of three, of four
            return data if back >= needed else data[:-back]
        if lead < 0x80:  # noqa: PLR2004 - ASCII
            break
    return data


def parse(text: str) -> Topic:
    """The topic that a text of one of FORMS means; a log may also have `stream` and `from`.

    Raises:
        UsageError: it is none.
    """
    if len(text) > LONGEST:
        raise UsageError(f"a topic has at most {LONGEST} characters")
    if text in {"records", "experiments"}:
        return ListTopic(text)
    kind, _, rest = text.partition(":")
    path, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    make = _KINDS.get(kind)
    if make is None or not path:
        raise UsageError(f"there is no topic {text[:80]!r}", hint=FORMS)
    return make(text, path, options)


def _place(path: str) -> ExperimentPlace:
    named = path.split("/")
    if len(named) != 3:  # noqa: PLR2004 - owner, home, id
        raise UsageError(f"{path[:80]!r} is not OWNER/HOME/ID")
    check_prefix(path)
    return ExperimentPlace(*named)


def _record(text: str, path: str, options: dict[str, str]) -> Topic:
    return RecordTopic(text, check_prefix(path), options.get("root"))


def _curve(text: str, path: str, options: dict[str, str]) -> Topic:
    return CurveTopic(text, check_prefix(path), options.get("key", ""), options.get("root"))


def _experiment(text: str, path: str, options: dict[str, str]) -> Topic:
    del options
    return ExperimentTopic(text, path, _place(path))


def _log(text: str, path: str, options: dict[str, str]) -> Topic:
    attempt, begin = options.get("attempt", "1"), options.get("from")
    if not attempt.isdecimal() or (begin is not None and not begin.isdecimal()):
        raise UsageError(f"{text[:80]!r}: attempt and from are whole numbers")
    stream = options.get("stream", "log")
    if stream not in attempt_logs.STREAMS:
        raise UsageError(f"stream={stream[:40]}: must be one of {', '.join(attempt_logs.STREAMS)}")
    task = options.get("task", "")
    if not task or check_path(task, what="task") != task:
        raise UsageError(f"{text[:80]!r}: it names no task")
    return LogTopic(
        text, path, _place(path), task, int(attempt), stream, None if begin is None else int(begin)
    )


_KINDS: Final[dict[str, Callable[[str, str, dict[str, str]], Topic]]] = {
    "record": _record,
    "curve": _curve,
    "experiment": _experiment,
    "log": _log,
}


def encoded(positions: dict[str, Any]) -> str:
    """Positions as the id of an event."""
    return json.dumps(positions, separators=(",", ":"))


def decoded(text: str | None) -> dict[str, Any]:
    """The positions in the id of an event; none if it is no such id."""
    try:
        positions = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return positions if are_positions(positions) else {}


def are_positions(values: Any) -> bool:
    """Whether values are positions by topic: a version, a byte, or for each file of a curve two numbers."""
    return isinstance(values, dict) and all(
        isinstance(value, str)
        or _is_size(value)
        or (isinstance(value, dict) and all(map(_is_pair, value.values())))
        for value in values.values()
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_size, value))  # noqa: PLR2004 - seen, counted


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63
