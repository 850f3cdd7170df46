"""The documents of the views of records that no command prints, and what the server adds to the others."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.experiment.records import documents, record_documents, targets
from nemorun_cli.experiment.records.targets import MEASURED
from nemorun_cli.model import clock
from nemorun_cli.serve.index.curves import Window, curve
from nemorun_cli.serve.index.record_index import root_id
from nemorun_cli.serve.index.series_index import drawn_by_rows
from nemorun_cli.serve.index.series_view import position_of
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.store import row_files, row_origins
from nemorun_cli.tracking.store.file_index import full_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.serve.heard import Reports
    from nemorun_cli.serve.index.index import Index
    from nemorun_cli.serve.index.pages import Conditions
    from nemorun_cli.serve.index.series_view import SeriesView
    from nemorun_cli.tracking import Record
    from nemorun_cli.tracking.store.file_index import File
    from nemorun_cli.tracking.store.row_series import Attempts

RECORD_FORMAT: Final = "exp.record-view/1"
CURVE_FORMAT: Final = "exp.curve/1"
LOG_FORMAT: Final = "exp.record-log/1"
TRACKS_FORMAT: Final = "exp.tracks/1"
ENVIRONMENT_FORMAT: Final = "exp.environment/1"
OPENINGS_FORMAT: Final = "exp.openings/1"
MOST_CURVES: Final = 200
MOST_FOLDERS: Final = 200
RUNNING: Final = "RUNNING"
PART: Final = 1 << 20  # bytes that are read at a time


def folders(
    index: Index, chosen: Conditions, prefix: str | None, judge: Callable[[str], bool] | None
) -> list[dict[str, Any]]:
    """The parts that follow a prefix in a list of records, with the number of records of each.

    Raises:
        CacheLostError: the cache is empty now.
    """
    plain = (prefix or "").strip("/")
    if not targets.GLOB.isdisjoint(plain):
        return []
    begin = len(plain) + 1 if plain else 0
    rest = "substr(prefix, ?)"
    rows = index.cache.read(
        f"SELECT substr({rest}, 1, instr({rest} || '/', '/') - 1) AS part, count(*)"  # noqa: S608 - only texts of this module
        f" FROM records {chosen.where} GROUP BY part ORDER BY part LIMIT ?",
        [begin + 1, begin + 1, *chosen.values, MOST_FOLDERS],
        judge=judge,
    )
    return [{"name": name, "records": count} for name, count in rows if name]


def heard_entry(entry: str, reports: Reports) -> str:
    """An entry of a list of records with `heard`; None unless another machine runs the record."""
    if '"status":"RUNNING"' not in entry:
        return f'{entry[:-1]},"heard":null}}'
    document = json.loads(entry)
    openings = [each for each in document["openings"] if each["status"] == RUNNING]
    return f'{entry[:-1]},"heard":{json.dumps(heard_of(document["prefix"], document, openings, reports))}}}'


def heard_of(
    prefix: str, document: dict[str, Any], openings: Sequence[dict[str, Any]], reports: Reports
) -> dict[str, Any] | None:
    """When the server last received something of a record that is running elsewhere."""
    # on one's own machine, what a supervisor began for a task runs here
    states = {"elsewhere", "supervised"} if reports.is_collector else {"elsewhere"}
    if document["status"] != RUNNING or not any(each["state"] in states for each in openings):
        return None
    heard = reports.of_record(prefix, [each["id"] for each in openings])
    if heard is not None:
        return heard.to_json(time.time())
    last = max((_written(document["dash_root"], prefix, each["id"]) for each in openings), default=0.0)
    host = next((each["host"] for each in openings if each["host"]), None)
    return {"age": round(max(0.0, time.time() - last), 1), "machine": host, "skew": None} if last else None


def _written(root: str, prefix: str, opening: str) -> float:
    """When the files of an opening were last written here, by the clock of this machine."""
    from nemorun_cli.tracking.store.record_paths import Place  # noqa: PLC0415 - rarely needed

    place = Place(root, prefix)
    paths = [place.opening(opening), *(f"{folder}/{opening}.jsonl" for folder in _row_folders(place.record))]
    return max(map(_changed, paths))


def _row_folders(record: str) -> Iterator[str]:
    for kind in ("params", "logs", "files"):
        yield f"{record}/{kind}"
    for kind in ("metrics", "tracks"):
        try:
            yield from (entry.path for entry in os.scandir(f"{record}/{kind}"))
        except OSError:
            continue


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime  # noqa: PTH116 - as text
    except OSError:
        return 0.0


def record(chosen: TargetRecord, reports: Reports) -> dict[str, Any]:
    """The document `exp.record-view/1` without how much the record has."""
    entry = record_documents.of_record(chosen)
    running = [each for each in entry["openings"] if each["status"] == RUNNING]
    folder = chosen.record.place.record
    return {
        "schema": RECORD_FORMAT,
        "root": root_id(chosen.record.root),
        "record": {**entry, "heard": heard_of(chosen.record.prefix, entry, running, reports)},
        "attempts": sorted(set(chosen.attempts)),
        "series": chosen.data.metrics.names(),
        "tracks": chosen.data.tracks.names(),
        "bytes": _size(folder),
        "torn": [{"path": os.path.basename(torn.path), "bytes": torn.bytes} for torn in chosen.record.torn],  # noqa: PTH119 - as text
    }


def amounts(index: Index, chosen: TargetRecord, elsewhere: Sequence[Record]) -> dict[str, Any]:
    """How much a record has, and of what, in `exp.record-view/1`.

    Args:
        index: knows its series.
        chosen: the record.
        elsewhere: those with the same prefix in other folders of records.
    """
    saved = files(chosen, name=None, is_every_version=False)["files"]
    missing = [file["bytes"] for file in saved if not file["here"]]
    with index.series.reading(chosen) as views:
        fields = sum(len(view.fields()) for view in views)
        others = [
            {"series": view.name, "field": name, "row_bytes": _row_bytes(view)}
            for view in views
            for name in view.fields_with_others()
        ]
    return {
        "counts": {
            "params": len(chosen.params()),
            "metrics": fields,
            "logs": _lines(f"{chosen.record.place.record}/logs", chosen),
            "files": len(saved),
            "tracks": len(chosen.data.tracks.names()),
        },
        "others": others,
        "not_here": {"files": len(missing), "bytes": sum(missing)},
        "elsewhere": [{"root": root_id(other.root), "dash_root": other.root} for other in elsewhere],
    }


def _row_bytes(view: SeriesView) -> int:
    """The bytes of a row of a series, on average."""
    files = {piece.columns.path: piece.columns.rows for piece in view.pieces}
    total = 0
    for path in files:
        with contextlib.suppress(OSError):
            total += os.stat(path).st_size  # noqa: PTH116 - as text
    return total // max(1, sum(files.values()))


def _lines(folder: str, chosen: TargetRecord) -> int:
    """How many complete lines the rows of a folder have; nothing is parsed."""
    total = 0
    for source in row_files.sources(folder, chosen.ids):
        try:
            with row_files.open_rows(source.path) as stream:
                while data := stream.read(PART):
                    total += data.count(b"\n")
        except OSError:
            continue
    return total


def _size(folder: str) -> int:
    """The bytes of all files in a folder."""
    total, found = 0, [folder]
    while found:
        try:
            with os.scandir(found.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        found.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def metrics(
    index: Index, chosen: TargetRecord, *, keys: Sequence[str], last: int | None, attempts: Attempts
) -> dict[str, Any]:
    """The document `exp.metrics/1`; with `last` 0, the statistics of all rows without the rows."""
    if last == 0 and not keys:
        documents.require_attempt([chosen], attempts)
        with index.series.reading(chosen, attempts=attempts) as views:
            if summary := _summaries(chosen, views):
                return {"schema": documents.METRICS_FORMAT, "series": summary}
    all_series = documents.read_series([chosen], wanted=keys, tail=last or None, attempts=attempts)
    document: dict[str, Any] = {**documents.metrics(all_series)}
    if last == 0:
        document["series"] = [{**series, "rows": []} for series in document["series"]]
    return document


def _summaries(chosen: TargetRecord, views: Sequence[SeriesView]) -> list[dict[str, Any]] | None:
    """The entries of series without rows; None if columns are not enough."""
    if any(view.needs_rows for view in views):
        return None
    identity = chosen.to_json()
    try:
        return [
            {**identity, "name": view.name, "count": view.count, "statistics": view.statistics(), "rows": []}
            for view in views
            if view.fields() or view.name != MEASURED
        ]
    except OverflowError:
        return None


def curves(
    index: Index,
    chosen: TargetRecord,
    *,
    keys: Sequence[str],
    window: Window,
    attempts: Attempts,
) -> dict[str, Any]:
    """The document `exp.curve/1`.

    Raises:
        UsageError: a key selects nothing, although metrics were logged.
        NotFoundError: the record has no attempt of this number.
    """
    documents.require_attempt([chosen], attempts)
    begin = clock.unix(chosen.openings[0].opened)
    window = window._replace(begin=begin)
    with index.series.reading(chosen, also=keys, attempts=attempts) as kept:
        positions = {view.name: position_of(view.pieces) for view in kept}
        is_odd = any(view.needs_rows for view in kept)
        views = drawn_by_rows(chosen, keys, attempts) if is_odd else kept
        fields = [(view, name) for view in views for name in view.fields() if view.columns(name)]
        chosen_fields = _wanted(fields, keys)
        entries = [
            {
                "key": key,
                "series": view.name,
                "field": name,
                **curve(view, name, window).to_json(),
                "position": positions.get(view.name, {}),
            }
            for key, view, name in chosen_fields[:MOST_CURVES]
        ]
    return {
        "schema": CURVE_FORMAT,
        **chosen.to_json(),
        "axis": window.axis,
        "from": window.first,
        "to": window.last,
        "points": window.points,
        "attempts": attempts,
        "begin": begin,
        "curves": entries,
        "left_out": max(0, len(chosen_fields) - MOST_CURVES),
    }


def _wanted(
    fields: Sequence[tuple[SeriesView, str]], keys: Sequence[str]
) -> list[tuple[str, SeriesView, str]]:
    from nemorun_cli.errors import UsageError  # noqa: PLC0415 - only to raise it
    from nemorun_cli.experiment.records import metric_keys  # noqa: PLC0415 - the same

    titles = metric_keys.titles((view.name, name) for view, name in fields)
    if metric_keys.has_glob(keys):
        keys = metric_keys.literal(keys, titles)
    missing = [key for key in keys if not any(metric_keys.is_wanted(field, [key]) for field in titles)]
    if missing and titles:
        listed = ", ".join(list(titles.values())[: documents.MOST_NAMED])
        raise UsageError(f"there is no metric {missing[0]!r}", hint=f"there are: {listed}")
    return [
        (titles[view.name, name], view, name)
        for view, name in fields
        if metric_keys.is_wanted((view.name, name), keys)
    ]


def log(chosen: TargetRecord, *, level: str | None, contains: str | None, tail: int) -> dict[str, Any]:
    """The document `exp.record-log/1`; `total` is how many lines match."""
    rows = chosen.data.logs.read(level=level, contains=contains, openings=chosen.ids)
    lines = list(rows)[max(0, len(rows) - tail) :]
    return {"schema": LOG_FORMAT, **chosen.to_json(), "total": len(rows), "lines": lines}


def tracks(chosen: TargetRecord, *, topic: str | None, limit: int) -> dict[str, Any]:
    """The document `exp.tracks/1`: the topics, and the last entries of one."""
    own = chosen.data.tracks
    entries = None if topic is None else own(topic).read(openings=chosen.ids)
    return {
        "schema": TRACKS_FORMAT,
        **chosen.to_json(),
        "topics": own.names(),
        "topic": topic,
        "count": None if entries is None else len(entries),
        "columns": None if entries is None else _columns(entries),
        "first": entries[0]["timestamp"] if entries else None,
        "last": entries[-1]["timestamp"] if entries else None,
        "entries": None if entries is None else list(entries)[max(0, len(entries) - limit) :],
    }


def _columns(entries: Sequence[dict[str, Any]]) -> list[str]:
    return [
        name for name in dict.fromkeys(name for entry in entries for name in entry) if name != "timestamp"
    ]


def files(chosen: TargetRecord, *, name: str | None, is_every_version: bool) -> dict[str, Any]:
    """The document `exp.files/1`; `here` is whether the content has arrived."""
    own = chosen.data.files
    listed = own.versions(openings=chosen.ids) if is_every_version else own.list(name, openings=chosen.ids)
    if is_every_version and name is not None:
        listed = [file for file in listed if name.lstrip("/") in {full_path(file), file["filename"]}]
    return {"schema": record_documents.FILES_FORMAT, "files": _entries(chosen, listed)}


def _entries(chosen: TargetRecord, listed: Sequence[File]) -> list[dict[str, Any]]:
    identity = chosen.to_json()
    entries = [{**identity, **record_documents.of_file(chosen, file)} for file in listed]
    return [{**entry, "here": os.path.isfile(entry["path"])} for entry in entries]  # noqa: PTH113 - as text


def files_of(records: Iterable[TargetRecord], *, name: str | None) -> dict[str, Any]:
    """The document `exp.files/1` of several records."""
    entries = [
        {**entry, "root": root_id(chosen.record.root)}
        for chosen in records
        for entry in _entries(chosen, chosen.data.files.list(name, openings=chosen.ids))
    ]
    return {"schema": record_documents.FILES_FORMAT, "files": entries}


def environment(chosen: TargetRecord) -> dict[str, Any]:
    """The document `exp.environment/1`: the packages and the uncommitted changes of each opening."""
    found = [
        (opening, *reader.environment(chosen.record.root, chosen.record.prefix, opening.id))
        for opening in chosen.openings
    ]
    return {
        "schema": ENVIRONMENT_FORMAT,
        **chosen.to_json(),
        "openings": [
            {"id": opening.id, "git": opening.facts.get("git"), "packages": packages, "diff": diff}
            for opening, packages, diff in found
        ],
    }


def openings(chosen: TargetRecord) -> dict[str, Any]:
    """The document `exp.openings/1`: what each opening recorded about its process."""
    return {
        "schema": OPENINGS_FORMAT,
        **chosen.to_json(),
        "openings": [
            {
                "id": opening.id,
                "generation": opening.generation,
                "attempt": row_origins.origin_of(opening.id, opening.facts).attempt,
                "status": str(opening.status),
                "state": opening.state,
                "reason": opening.reason,
                "message": opening.message,
                "opened": opening.opened,
                "ended": opening.ended,
                "facts": opening.facts,
            }
            for opening in chosen.openings
        ],
    }
