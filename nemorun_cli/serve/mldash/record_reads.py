"""What ML-Dash's clients read of a record: params, logs, metrics and tracks."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from nemorun_cli.errors import InvalidValueError, NotFoundError
from nemorun_cli.model import clock
from nemorun_cli.serve.mldash import metric_pages
from nemorun_cli.serve.mldash.addresses import UNNAMED, Address, experiment_id
from nemorun_cli.serve.mldash.answers import answer, refusal
from nemorun_cli.tracking.experiment import Experiment
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.record_paths import decode_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Row

CHUNK: Final = 10_000  # rows in a chunk of ML-Dash's server
MOST_ROWS: Final = 10_000  # of one page
MOST_DIGITS: Final = 18  # of an index


def respond(place: Place, address: Address, query: Mapping[str, str]) -> Response:
    """The answer to a request that reads."""
    match address:
        case ("parameters", None, None):
            params = Experiment.at(place).params.get()
            return answer({"experimentId": experiment_id(place.prefix), "data": params})
        case ("logs", None, None):
            return _logs(place, query)
        case ("metrics", None, None):
            return answer({"metrics": [_metric_json(place, name) for name in _metric_names(place)]})
        case ("tracks", None, None):
            return _tracks(place, query)
        case (_, str(), str()):
            return _stream(place, address, query)
    return refusal(404, "not_found", f"ML-Dash's API has nothing to read at {address.kind:.80}")


def _stream(place: Place, address: Address, query: Mapping[str, str]) -> Response:
    if address.kind == "metrics":
        return _metric(place, address, query)
    if address.call == "data":
        return _track_data(place, address, query)
    return refusal(404, "not_found", f"{address.title} is read at …/data")


def _metric_names(place: Place) -> list[str]:
    names = (decode_name(folder) for folder in row_files.names(place.metrics))
    return sorted(UNNAMED if name is None else name for name in names)


def _metric_json(place: Place, name: str) -> dict[str, Any]:
    """What ML-Dash reports about a metric, with its numbers as texts."""
    metric = Experiment.at(place).metrics(None if name == UNNAMED else name)
    about = {"description": None, "tags": [], "metadata": None, **metric.about()}
    extent = metric_pages.extent(metric.folder)
    return {
        "metricId": metric_id(place, name),
        "name": name,
        **about,
        "totalDataPoints": str(extent.rows),
        "bufferedDataPoints": str(extent.rows),
        "chunkedDataPoints": "0",
        "totalChunks": 0,
        "chunkSize": CHUNK,
        "firstDataAt": extent.first,
        "lastDataAt": extent.last,
        "createdAt": extent.first,
        "updatedAt": extent.last,
    }


def metric_id(place: Place, name: str | None) -> str:
    """The id of a metric or track: a text that no request contains."""
    return f"{experiment_id(place.prefix)}-{name}"


def _metric(place: Place, address: Address, query: Mapping[str, str]) -> Response:
    folder = address.folder(place)
    if folder is None or not row_files.names(folder):
        return refusal(404, "not_found", f"the record has no {address.title}")
    if address.call == "stats":
        return answer(_metric_json(place, address.name or UNNAMED))
    if address.call == "data":
        begin, limit = _whole(query, "startIndex", 0), _whole(query, "limit", 1000)
        return answer(metric_pages.by_index(folder, begin, min(limit, MOST_ROWS)))
    if address.call == "rows":
        return _rows(place, address, folder, query)
    return refusal(404, "not_found", f"{address.title} has no chunks: its rows are read by their index")


def _rows(place: Place, address: Address, folder: str, query: Mapping[str, str]) -> Response:
    limit = _whole(query, "limit", 1000)
    if not 1 <= limit <= MOST_ROWS:
        raise InvalidValueError(f"limit is 1 to {MOST_ROWS}, not {limit}")
    try:
        page = metric_pages.by_cursor(folder, query.get("cursor"), limit)
    except metric_pages.SnapshotChangedError as error:
        return refusal(409, "snapshot_changed", str(error))
    return answer({**page, "metricId": metric_id(place, address.name)})


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS:
        raise InvalidValueError(f"{name} is a whole number, not {text!r:.40}")
    return int(text)


def _number(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    try:
        return None if text is None else float(text)
    except ValueError:
        raise InvalidValueError(f"{name} is a number, not {text!r:.40}") from None


def _moment(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    try:
        return None if text is None else clock.unix(text)
    except (ValueError, OverflowError):
        raise InvalidValueError(f"{name} is a time as in ISO 8601, not {text!r:.40}") from None


def _logs(place: Place, query: Mapping[str, str]) -> Response:
    span = (_moment(query, "startTime"), _moment(query, "endTime"))
    lines = [*enumerate(Experiment.at(place).logs.read(time=span))]
    if "level" in query:
        levels = query["level"].split(",")
        lines = [(number, line) for number, line in lines if line["level"] in levels]
    if "search" in query:
        wanted = query["search"].lower()
        lines = [(number, line) for number, line in lines if wanted in line["message"].lower()]
    if query.get("orderBy") == "timestamp":
        lines.sort(key=lambda pair: float(pair[1]["_ts"]))
    if query.get("order") == "desc":
        lines.reverse()
    begin, limit = _whole(query, "offset", 0), _whole(query, "limit", 100)
    shown = [_line(number, line) for number, line in lines[begin : begin + limit]]
    return answer({"logs": shown, "total": len(lines), "hasMore": begin + limit < len(lines)})


def _line(number: int, line: Row) -> dict[str, Any]:
    return {
        "sequenceNumber": number,
        "timestamp": metric_pages.stamp(line["_ts"]),
        "level": line["level"],
        "message": line["message"],
        "metadata": line.get("metadata"),
    }


def _tracks(place: Place, query: Mapping[str, str]) -> Response:
    tracks = Experiment.at(place).tracks
    glob = query.get("topic", "*")
    topics = [topic for topic in tracks.names() if fnmatch.fnmatchcase(topic, glob)]
    return answer({"tracks": [track_json(place, topic, tracks(topic).list_entries()) for topic in topics]})


def track_json(place: Place, topic: str, entries: list[Row]) -> dict[str, Any]:
    """What ML-Dash reports about a track."""
    columns = dict.fromkeys(name for entry in entries for name in entry if name != "timestamp")
    return {
        "id": metric_id(place, topic),
        "topic": topic,
        "totalEntries": len(entries),
        "columns": sorted(columns),
        "firstTimestamp": entries[0]["timestamp"] if entries else None,
        "lastTimestamp": entries[-1]["timestamp"] if entries else None,
    }


def _track_data(place: Place, address: Address, query: Mapping[str, str]) -> Response:
    tracks = Experiment.at(place).tracks
    topic = address.name or ""
    if topic not in tracks.names():
        raise NotFoundError(f"the record has no {address.title}")
    columns = query["columns"].split(",") if query.get("columns") else None
    first, last = _number(query, "start_timestamp"), _number(query, "end_timestamp")
    entries = tracks(topic).read(first, last, columns)
    form = query.get("format", "json")
    if form == "json":
        return answer({"topic": topic, "entries": list(entries), "count": len(entries)})
    if form == "jsonl":
        lines = "".join(f"{dump(entry)}\n" for entry in entries)
        return Response(lines.encode("ascii"), media_type="application/x-ndjson")
    return refusal(400, "unknown_format", f"there is no format {form!r:.40}", hint="read json or jsonl")
