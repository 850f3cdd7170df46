"""The content of a record of ML-Dash, wherever it is: what an import takes over."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from nemorun_cli.model.status import ExperimentStatus


class ImportProblem(NamedTuple):
    """Something that cannot be taken over: where it is, and why."""

    where: str
    reason: str


class ForeignStream(NamedTuple):
    """The rows of a metric, a track or the log.

    Attributes:
        name: of the metric or track; None for the unnamed metric, and for the log.
        about: the description, tags and metadata of a metric.
        rows: reads the rows in their order.
    """

    name: str | None
    about: Mapping[str, Any]
    rows: Callable[[], Iterable[Any]]


class ForeignFile(NamedTuple):
    """A saved file.

    Attributes:
        id: of this version.
        path: in the record, such as `models/best.pt`.
        checksum: its SHA-256, if ML-Dash has it.
        about: description, tags, bindrs and metadata.
        content_type: the media type, if ML-Dash has it.
        uploaded: Unix seconds.
        deleted: whether it was deleted; its content is kept.
        open: its content.
    """

    id: str
    path: str
    checksum: str | None
    about: Mapping[str, Any]
    content_type: str | None
    uploaded: float
    deleted: bool
    open: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass
class ForeignRecord:
    """A record of ML-Dash.

    Attributes:
        prefix: its prefix there.
        origin: where it is, for messages.
        about: description, tags, bindrs and metadata.
        opened: Unix seconds.
        ended: Unix seconds, if ML-Dash knows them.
        status: RUNNING or how it ended; None where ML-Dash keeps no status.
        params: by dotted names.
        params_set: Unix seconds of their last change.
        logs: the log.
        metrics: all metrics.
        tracks: all tracks.
        files: all saved files, also deleted ones, oldest first.
        problems: what cannot be read; reading rows adds to them.
    """

    prefix: str
    origin: str
    about: Mapping[str, Any]
    opened: float
    ended: float | None
    status: ExperimentStatus | None
    params: Mapping[str, Any]
    params_set: float
    logs: ForeignStream
    metrics: list[ForeignStream]
    tracks: list[ForeignStream]
    files: list[ForeignFile]
    problems: list[ImportProblem] = field(default_factory=list)


class ImportSource(NamedTuple):
    """Where records of ML-Dash are.

    Attributes:
        title: the folder or address.
        records: reads them, one at a time; a problem stands for one that cannot be read.
    """

    title: str
    records: Callable[[], Iterator[ForeignRecord | ImportProblem]]


def moment(text: object, default: float) -> float:
    """The Unix seconds of a time as ML-Dash writes it, with microseconds; the default for anything else."""
    if not isinstance(text, str):
        return default
    try:
        parsed = dt.datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        return default


def described(values: Mapping[str, Any]) -> dict[str, Any]:
    """The description, tags, bindrs and metadata in an object of ML-Dash."""
    names = ("description", "tags", "bindrs", "metadata")
    return {name: values[name] for name in names if values.get(name) not in (None, [], "")}
