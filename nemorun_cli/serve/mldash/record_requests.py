"""What ML-Dash's clients append to a record: params, logs, metrics and tracks."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.replication import ml_dash_rows
from nemorun_cli.replication.ml_dash_rows import RefusedRowError
from nemorun_cli.serve.json_bodies import has_at_most
from nemorun_cli.serve.mldash import addresses, node_ids, record_reads
from nemorun_cli.serve.mldash.answers import answer, refusal
from nemorun_cli.serve.mldash.body_elements import JsonBody
from nemorun_cli.serve.mldash.node_ids import NodeKind
from nemorun_cli.system.files import make_folder
from nemorun_cli.tracking.store.json_values import MAX_DEPTH
from nemorun_cli.tracking.store.record_paths import encode_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from nemorun_cli.replication.ml_dash_rows import Encode, EncodePlain
    from nemorun_cli.serve.mldash.adapter import Adapter
    from nemorun_cli.serve.mldash.addresses import Address
    from nemorun_cli.serve.mldash.held_records import ApiSender, HeldRecord

IN_MEMORY: Final = 8 << 20  # bytes of a body; a larger one is in a temporary file
LARGEST_SHORT: Final = 64 << 20  # bytes of a body that is not a batch of rows
MOST_REASONS: Final = 100  # in an answer
_BATCHES: Final = frozenset({"append-batch", "append_batch"})


class Received(NamedTuple):
    """The body of a request, its SHA-256 and its bytes."""

    stream: IO[bytes]
    digest: bytes
    size: int


class RowForm(NamedTuple):
    """The key of a body that has the rows, and how one is encoded, and plain ones are at once."""

    key: str
    encode: Encode
    encode_plain: EncodePlain | None = None


_FORMS: Final[Mapping[str, RowForm]] = {
    "logs": RowForm("logs", ml_dash_rows.log_line),
    "metrics": RowForm("dataPoints", ml_dash_rows.metric_line, ml_dash_rows.plain_metric_lines),
    "tracks": RowForm("entries", ml_dash_rows.track_line),
}


async def handle(adapter: Adapter, request: Request, identity: str, rest: str) -> Response:
    """Answer a request below `experiments/ID/`.

    Args:
        adapter: of the server.
        request: the request.
        identity: the id in its path.
        rest: what follows in the raw path and query, still quoted.
    """
    prefix = node_ids.parsed(identity, NodeKind.EXPERIMENT).prefix
    address = addresses.parsed(rest)
    if request.method == "GET":
        adapter.require_read(request, prefix)
        place = adapter.records.place(prefix)
        return await adapter.run(record_reads.respond, place, address, request.query_params)
    adapter.require_write(request, prefix)
    is_batch = address.kind == "logs" or address.call in _BATCHES
    body = await _received(request, adapter.scratch, largest=None if is_batch else LARGEST_SHORT)
    with body.stream:
        return await adapter.run(_write, adapter, prefix, address, body, adapter.sender(request))


async def _received(request: Request, folder: Path, *, largest: int | None) -> Received:
    """Receive a body, a large one into a temporary file in a folder."""
    digest, size = hashlib.sha256(), 0
    make_folder(folder)
    stream = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=str(folder))  # noqa: SIM115 - the caller closes it
    try:
        async for chunk in request.stream():
            size += len(chunk)
            _require_size(size, largest)
            digest.update(chunk)
            stream.write(chunk)
        stream.seek(0)
    except BaseException:
        stream.close()
        raise
    return Received(stream, digest.digest(), size)


def _require_size(size: int, largest: int | None) -> None:
    if largest is not None and size > largest:
        raise InvalidValueError(f"the body has more than {largest:,} bytes")


def _write(adapter: Adapter, prefix: str, address: Address, body: Received, who: ApiSender) -> Response:
    adapter.prepare(prefix)
    match address:
        case ("parameters", None, None):
            return _set_params(adapter, prefix, body, who)
        case ("tracks", None, None):
            return _declare_track(adapter, prefix, body)
        # an address that ends with the name of a metric is one whose name has a `#`
        case ("logs", None, None) | ("metrics", str(), "append-batch" | None) | ("tracks", _, "append_batch"):
            return _append(adapter, prefix, address, body, who)
        case ("metrics" | "tracks", str(), "append"):
            return _append_one(adapter, prefix, address, body, who)
    return refusal(404, "not_found", f"ML-Dash's API takes no POST for {address.kind:.80}")


class _Encoded:
    """The lines of a body, and the rows that cannot be stored."""

    def __init__(self, batches: Iterable[list[Any]], form: RowForm) -> None:
        self.reasons: list[dict[str, Any]] = []
        self.count = self.refused = 0
        self._batches = batches
        self._form = form

    def lines(self) -> Iterator[list[bytes]]:
        """The lines of the rows that can be stored, in batches."""
        for batch in self._batches:
            plain = self._form.encode_plain and self._form.encode_plain(batch)
            if plain is None:
                yield self._one_by_one(batch)
            else:
                self.count += len(batch)
                yield plain

    def _one_by_one(self, batch: list[Any]) -> list[bytes]:
        lines = []
        for row in batch:
            self.count += 1
            try:
                lines.append(self._form.encode(row))
            except RefusedRowError as error:
                self.refuse(str(error), self.count - 1)
        return lines

    def refuse(self, reason: str, index: int) -> None:
        """Note that a row is not stored."""
        self.refused += 1
        if len(self.reasons) < MOST_REASONS:
            self.reasons.append({"index": index, "reason": reason})

    def store(self, held: HeldRecord, address: Address, body: Received, who: ApiSender) -> int:
        """Append the lines to a record, and report in its log what is not; returns how many are new."""
        stored = 0
        if (folder := address.folder(held.place)) is not None:
            stored = held.append_once(folder, self.lines(), body.digest, who)
        else:
            for index, _ in enumerate(itertools.chain.from_iterable(self.lines())):
                self.refuse(f"{address.title} has a name that is empty or too long", index)
        if self.refused:
            text = f"the server did not store {self.refused} of {self.count} rows of {address.title}"
            held.report(f"{text}: {self.reasons[0]['reason']}", {"rejected": self.refused}, who)
        return stored

    def answer(self, prefix: str, stored: int) -> Response:
        """What the client gets."""
        taken = self.count - self.refused
        content = {"experimentId": addresses.experiment_id(prefix), "count": taken, "created": taken}
        content |= {"stored": stored}
        if self.refused:
            content |= {"rejected": self.refused, "reasons": self.reasons}
        return answer(content)


def _append(adapter: Adapter, prefix: str, address: Address, body: Received, who: ApiSender) -> Response:
    """Append the rows of a body.

    It is never refused because of a row: 0.6.27 would send the same rows without end, and 0.11 fail the run.
    """
    form = _FORMS[address.kind]
    content = JsonBody(body.stream, form.key)
    rows = _Encoded(content.batches(), form)
    with adapter.records.locked(prefix) as held:
        stored = rows.store(held, address, body, who)
        about = ml_dash_rows.plain_about(
            {name: content.others.get(name) for name in ("description", "tags", "metadata")}
        )
        if about and address.kind == "metrics" and (folder := address.folder(held.place)) is not None:
            held.describe(folder, about)
    return rows.answer(prefix, stored)


def _append_one(adapter: Adapter, prefix: str, address: Address, body: Received, who: ApiSender) -> Response:
    """Append the single row of a body."""
    content = _fields(body)
    row = content.get("data")
    if address.kind == "tracks" and isinstance(row, dict):
        flat = flat_fields(row) if has_at_most(MAX_DEPTH, row) else row  # the latter is refused as a row
        row = {**flat, "timestamp": content.get("timestamp")}
    rows = _Encoded([[row]], _FORMS[address.kind])
    with adapter.records.locked(prefix) as held:
        stored = rows.store(held, address, body, who)
    return rows.answer(prefix, stored)


def flat_fields(row: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested fields under dotted names, as ML-Dash's server stores those of a track."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict) and value:
            flat |= flat_fields(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = value
    return flat


def _fields(body: Received) -> dict[str, Any]:
    """A body without a long list."""
    content = JsonBody(body.stream, "")
    for _ in content.elements():
        pass
    return content.others


def _set_params(adapter: Adapter, prefix: str, body: Received, who: ApiSender) -> Response:
    """Set params. Those that cannot be set are reported in the record's log: an error ends the program."""
    data = _fields(body).get("data")
    if not isinstance(data, dict):
        raise InvalidValueError("the body has no object 'data'")
    line, refused = ml_dash_rows.params_line(data)
    with adapter.records.locked(prefix) as held:
        if line is not None:
            held.write(held.place.params, line, who)
        if refused:
            text = f"the server did not set {len(refused)} of {len(data)} params: {refused[0]}"
            held.report(text, {"rejected": len(refused)}, who)
    rejected = {"rejected": len(refused), "reasons": refused[:MOST_REASONS]} if refused else {}
    shown = data if has_at_most(MAX_DEPTH, data) else {}
    return answer({"experimentId": addresses.experiment_id(prefix), "data": shown, **rejected})


def _declare_track(adapter: Adapter, prefix: str, body: Received) -> Response:
    """A track without entries is not stored: it appears with its first one."""
    topic = _fields(body).get("topic")
    if not isinstance(topic, str):
        raise InvalidValueError("the body has no text 'topic'")
    encode_name(topic)
    place = adapter.records.place(prefix)
    return answer({"track": record_reads.track_json(place, topic, []), "topic": topic})
