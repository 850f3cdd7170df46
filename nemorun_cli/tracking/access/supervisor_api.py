"""Openings that a supervisor creates: one for its run, and one for each attempt that it records data of."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import UsageError
from nemorun_cli.system.files import RefusedFileError, open_to_read
from nemorun_cli.tracking.params import flattened
from nemorun_cli.tracking.process import git_state, process_info
from nemorun_cli.tracking.store import json_values, record_paths, row_writer, sessions
from nemorun_cli.tracking.store.presence import Presence
from nemorun_cli.tracking.store.sessions import OpenSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from nemorun_cli.tracking.store.record_paths import Place

MAX_REGISTERED: Final = 1_000  # records of one attempt that are closed
MOST_BYTES: Final = 4 << 20  # of the list of these records: more than as many lines need


class TrackedAttempt(NamedTuple):
    """One attempt at a task; without a task, the run itself."""

    exp_id: str
    task: str | None = None
    attempt: int | None = None


def open_run(
    place: Place,
    attempt: TrackedAttempt,
    *,
    folder: str,
    about: Mapping[str, Any],
    home: str | None = None,
    server: str | None = None,
) -> OpenSession:
    """Open the record of a run: RUNNING until it is ended, lost if this process dies.

    Args:
        place: the record.
        attempt: the run.
        folder: the folder of its spec.
        about: description, tags and the like, as plain values.
        home: `$NEMORUN_HOME`.
        server: which gets a copy of the record.
    """
    process = {**_process(attempt, home, server), "folder": folder, "git": git_state.commit(folder)}
    return OpenSession.start(place, about=about, process=process)


def open_attempt(
    place: Place,
    attempt: TrackedAttempt,
    params: Mapping[str, Any],
    *,
    home: str | None = None,
    server: str | None = None,
) -> str:
    """The opening for the data that a supervisor records of an attempt; created once, with the params.

    It is RUNNING until a verdict is written, even if this process dies.
    """
    existing = find(place, attempt)
    if existing is not None:
        return existing
    session = OpenSession.start(
        place, about={}, process={**_process(attempt, home, server), "supervised": True}
    )
    session.release()
    set_params(place, session.id, params)
    return session.id


def presence(place: Place, opening: str) -> Presence:
    """The file of an opening that a supervisor created, to notice later that it was moved or removed."""
    return Presence(place.opening(opening), 0, None, None)


def find(place: Place, attempt: TrackedAttempt) -> str | None:
    """The opening that a supervisor created for an attempt, or None."""
    if not os.path.isdir(place.openings):
        return None
    for opening in reversed(sessions.read_all(place)[0]):
        facts = opening.facts
        if facts.get("supervised") and all(
            facts.get(name) == value for name, value in attempt._asdict().items()
        ):
            return opening.id
    return None


def set_params(place: Place, opening: str, params: Mapping[str, Any]) -> None:
    """Record params of an opening; when read, they override params that conflict with them."""
    flat = flattened(params)
    if flat:
        writer = row_writer.Writer()
        writer.open(opening)
        try:
            writer.append(place.params, json_values.encode_row(time.time(), {"set": flat}))
        finally:
            writer.close()


def unended(place: Place, attempt: TrackedAttempt) -> list[str]:
    """The openings of the run itself that have no end yet."""
    return [
        opening.id
        for opening in sessions.read_all(place)[0]
        if opening.facts.get("exp_id") == attempt.exp_id
        and opening.facts.get("task") is None
        and opening.state != "ended"
    ]


def registered(path: str | Path, *, inside: str | Path | None = None) -> Iterator[tuple[str, str]]:
    """The records that an attempt registered, as root and prefix; other lines are skipped.

    A file that is a link, or is behind one in its path below `inside`, registers nothing.
    """
    try:
        with open_to_read(path, follows_link=False, inside=inside) as stream:
            lines = stream.read(MOST_BYTES).splitlines()[:MAX_REGISTERED]
    except (FileNotFoundError, NotADirectoryError, PermissionError, RefusedFileError):
        return
    yield from dict.fromkeys(_notes(lines))


def _notes(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        try:
            note = json_values.load(line.decode("ascii"))
            place = note["dash_root"], record_paths.check_prefix(note["prefix"])
        except (ValueError, LookupError, TypeError, RecursionError, UsageError):
            continue  # an incomplete or foreign line
        if isinstance(place[0], str) and os.path.isabs(place[0]):
            yield place


def _process(attempt: TrackedAttempt, home: str | None, server: str | None) -> dict[str, Any]:
    """The facts about this process that readers use."""
    return {
        **attempt._asdict(),
        "rank": None,
        "host": process_info.host(),
        "boot": process_info.boot(),
        "pid": os.getpid(),
        "process_started": process_info.started(os.getpid()),
        "user": process_info.user(),
        "home": home,
        "author": "supervisor",
        **({} if server is None else {"dash_url": server}),  # later changes of the record are sent there, too
    }
