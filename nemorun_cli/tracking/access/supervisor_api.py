"""Openings that a supervisor makes: of its run, while it lives, and of tasks for what it knows of them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import UsageError
from nemorun_cli.tracking.params import flattened
from nemorun_cli.tracking.process import git_state, process_info
from nemorun_cli.tracking.store import json_values, record_paths, row_files, sessions
from nemorun_cli.tracking.store.sessions import OpenSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nemorun_cli.tracking.store.record_paths import Place

MAX_REGISTERED: Final = 1_000  # records of one attempt that are seen to


class TrackedAttempt(NamedTuple):
    """One attempt at a task, or with no task the run itself."""

    exp_id: str
    task: str | None = None
    attempt: int | None = None


def open_run(place: Place, whose: TrackedAttempt, *, folder: str, about: Mapping[str, Any]) -> OpenSession:
    """Open the record of a run: RUNNING until it is ended, or lost when this process dies.

    Args:
        place: the record.
        whose: the run.
        folder: where its spec lies.
        about: description, tags and the like, already plain.
    """
    process = {**_process(whose), "folder": folder, "git": git_state.commit(folder)}
    return OpenSession.start(place, about=about, process=process)


def open_attempt(place: Place, whose: TrackedAttempt, params: Mapping[str, Any]) -> str:
    """The opening that stands for what a supervisor knows of an attempt; made only once, with the params.

    It is RUNNING until there is a verdict, whatever becomes of this process.
    """
    known = find(place, whose)
    if known is not None:
        return known
    holder = OpenSession.start(place, about={}, process={**_process(whose), "supervised": True})
    holder.release()
    set_params(place, holder.id, params)
    return holder.id


def find(place: Place, whose: TrackedAttempt) -> str | None:
    """The opening that a supervisor made for an attempt, or None."""
    if not os.path.isdir(place.openings):
        return None
    for opening in reversed(sessions.read_all(place)[0]):
        told = opening.facts
        if told.get("supervised") and all(told.get(name) == value for name, value in whose._asdict().items()):
            return opening.id
    return None


def set_params(place: Place, opening: str, params: Mapping[str, Any]) -> None:
    """Note params as those of an opening; what cannot stand beside them gives way when they are read."""
    flat = flattened(params)
    if flat:
        writer = row_files.Writer()
        writer.open(opening)
        try:
            writer.append(place.params, json_values.encode_row(time.time(), {"set": flat}))
        finally:
            writer.close()


def unended(place: Place, whose: TrackedAttempt) -> list[str]:
    """The openings of a run itself that nothing was said of yet."""
    return [
        opening.id
        for opening in sessions.read_all(place)[0]
        if opening.facts.get("exp_id") == whose.exp_id
        and opening.facts.get("task") is None
        and opening.state != "ended"
    ]


def registered(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """The records, as root and prefix, that an attempt noted to have opened; other lines are passed over."""
    try:
        with open(path, "rb") as stream:
            lines = stream.read().splitlines()[:MAX_REGISTERED]
    except FileNotFoundError:
        return
    yield from dict.fromkeys(_notes(lines))


def _notes(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        try:
            note = json_values.load(line.decode("ascii"))
            place = note["dash_root"], record_paths.check_prefix(note["prefix"])
        except (ValueError, LookupError, TypeError, UsageError):
            continue  # a line that is torn, or not ours
        if isinstance(place[0], str) and os.path.isabs(place[0]):
            yield place


def _process(whose: TrackedAttempt) -> dict[str, Any]:
    """Who writes, as far as readers ask for it."""
    return {
        **whose._asdict(),
        "rank": None,
        "host": process_info.host(),
        "boot": process_info.boot(),
        "pid": os.getpid(),
        "process_started": process_info.started(os.getpid()),
        "user": process_info.user(),
        "author": "supervisor",
    }
