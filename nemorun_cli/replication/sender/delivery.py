"""Delivers what is left in an outbox in the foreground, for `exp sync`, and reports what is left in it."""

from __future__ import annotations

import contextlib
import enum
import fnmatch
import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import ExpError
from nemorun_cli.model import clock
from nemorun_cli.replication.remote_errors import OF_ALL, RemoteFault
from nemorun_cli.replication.sender import known_roots, outbox_files, work
from nemorun_cli.replication.sender.outgoing import Pace
from nemorun_cli.replication.sender.turns import OutboxSender
from nemorun_cli.system import locks
from nemorun_cli.tracking.outbox import addresses, markers, notes, sender_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nemorun_cli.replication.sender.outbox_files import Marker
    from nemorun_cli.tracking.outbox.markers import Outbox

TRIES: Final = 3  # with a server that does not answer, or is busy
PAUSE: Final = 0.1  # seconds between looks at another sender
LONGEST_WAIT: Final = 10.0  # seconds that a busy server is waited for; one that asks for more is asked later
SETTLED: Final = 2.0  # seconds within which another sender notices that it is to hurry
REFUSALS: Final = frozenset({RemoteFault.TOKEN, RemoteFault.NO_TOKEN})


class DeliveryState(enum.StrEnum):
    """How a delivery ended, the worst last."""

    DELIVERED = "delivered"
    LEFT = "left"  # something is here that the server does not take, such as a file that differs there
    AWAY = "away"
    REFUSED = "refused"  # the token


class PendingEntry(NamedTuple):
    """A record or an experiment that is marked: its bytes and files that are not known to have arrived."""

    label: str
    bytes: int
    files: int
    error: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """The entry in `exp.sync/1`."""
        return {"name": self.label, "bytes": self.bytes, "files": self.files, "error": self.error}


class OutboxReport(NamedTuple):
    """What is left in an outbox.

    `is_sending` is whether a sender is at work, `last` is the time of the last acknowledgement, `error` why
    nothing arrives now.
    """

    outbox: Outbox
    root: str
    entries: list[PendingEntry]
    is_sending: bool
    last: str | None
    error: dict[str, Any] | None
    since: str | None
    state: DeliveryState

    def to_json(self) -> dict[str, Any]:
        """The outbox in `exp.sync/1`."""
        return {
            "url": self.outbox.url,
            "root": self.root,
            "state": str(self.state),
            "bytes": sum(each.bytes for each in self.entries),
            "files": sum(each.files for each in self.entries),
            "is_sending": self.is_sending,
            "last": self.last,
            "since": self.since,
            "error": self.error,
            "entries": [each.to_json() for each in self.entries],
        }


class SyncChoice:
    """The records and experiments that are named: by prefix, glob of prefixes, or id; without names, all."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = [name.strip("/") for name in names]

    def __call__(self, marker: Marker) -> bool:
        """Whether a marker is for one of them."""
        label = marker.prefix or Path(marker.experiment or "").name
        return not self._names or self.takes(label)

    def takes(self, label: str) -> bool:
        """Whether a prefix or an id is one of them."""
        return any(name == label or fnmatch.fnmatchcase(label, name) for name in self._names)


def every_outbox(roots: Iterable[str], home: str) -> Iterator[Outbox]:
    """The outboxes of folders of records and of a home, with those of the records in it, each once."""
    seen: set[str] = set()
    for outbox in itertools.chain(
        *map(notes.outboxes, [*roots, *notes.roots_in_home(home)]), notes.outboxes_of_home(home)
    ):
        if outbox.folder not in seen:
            seen.add(outbox.folder)
            yield outbox


Sizes = dict[str, dict[str, int]]
"""The sizes of the files of what is marked, by its name."""


def _sizes(outbox: Outbox, choice: SyncChoice) -> Sizes:
    """What is to be delivered now: a program that is logging writes more at any time."""
    found: Sizes = {}
    root, pace = outbox_files.root_of(outbox), Pace()
    for marker in outbox_files.markers(outbox).values():
        label = marker.prefix or marker.experiment or ""
        if choice(marker) and label not in found:
            each = work.work_of(marker, root, outbox, pace)
            with contextlib.suppress(ExpError, OSError):
                if each is not None:
                    each.outgoing.look()
                    found[label] = each.outgoing.sizes
    return found


def report(outbox: Outbox, choice: SyncChoice, *, wanted: Sizes | None = None) -> OutboxReport:
    """What is left in an outbox, without asking the server: costs as much as there is pending.

    Args:
        outbox: of a root and a server.
        choice: which markers count.
        wanted: what counts; default all that is written now.
    """
    marked = [marker for marker in outbox_files.markers(outbox).values() if choice(marker)]
    state = notes.read_state(outbox)
    problems = state.get("records")
    problems = problems if isinstance(problems, dict) else {}
    root = outbox_files.root_of(outbox)
    entries, pace = [], Pace()
    by_label = {marker.prefix or marker.experiment or "": marker for marker in marked}
    for label, marker in sorted(by_label.items()):
        each = work.work_of(marker, root, outbox, pace)
        if each is None:
            continue
        error = problems.get(label)
        size = count = 0
        try:
            each.outgoing.look()
            if wanted is not None:
                each.outgoing.limit(wanted.get(label, {}))
            size, count = each.outgoing.pending_bytes, len(each.outgoing.pending_files)
        except (ExpError, OSError) as fault:
            error = {"code": "unreadable", "message": str(fault), "since": clock.stamp()}
        if size or count or error or (wanted is None and _is_old(marker, state)):
            entries.append(PendingEntry(label, size, count, error if isinstance(error, dict) else None))
    error = state.get("error") if marked else None
    last = state.get("last")
    oldest = min((marker.mtime_ns for marker in marked), default=None)
    return OutboxReport(
        outbox,
        root,
        entries,
        is_sending=locks.is_held(Path(outbox.lock)),
        last=last if isinstance(last, str) else None,
        error=error if isinstance(error, dict) else None,
        since=None if oldest is None else clock.stamp(oldest / 1e9),
        state=DeliveryState.LEFT if entries or error else DeliveryState.DELIVERED,
    )


def _is_old(marker: Marker, state: dict[str, Any]) -> bool:
    """Whether a marker was written after the last look of any sender, so that nobody knows about it."""
    try:
        return marker.mtime_ns / 1e9 > clock.unix(str(state["time"]))
    except (LookupError, ValueError):
        return True


def hurry(outbox: Outbox) -> None:
    """Have what waits in an outbox sent at once: its sender reads its token again, or another one starts."""
    markers.wake(outbox)
    if outbox_files.markers(outbox) and not addresses.in_task():
        sender_process.ensure(outbox)


def deliver(outbox: Outbox, choice: SyncChoice, *, show: Callable[[OutboxReport], None]) -> OutboxReport:
    """Ship what is left in an outbox, or wait for the sender that does; returns what is left then.

    Args:
        outbox: of a root and a server.
        choice: which markers count.
        show: is called now and then, to show the progress.
    """
    hurried: float | None = None
    wanted = _sizes(outbox, choice)
    while (descriptor := locks.take(Path(outbox.lock), patience=PAUSE)) is None:
        if hurried is None:
            hurry(outbox)
            hurried = time.time()
        seen = report(outbox, choice, wanted=wanted)
        show(seen)
        is_known = _is_since(outbox, hurried + SETTLED)
        is_asked = _is_asked(outbox, choice)  # what is known of the server does not count until it answers
        if (not seen.entries and not is_asked) or (is_known and _is_stopped(seen)):
            return seen._replace(state=_state_of(seen))
    try:
        sender = OutboxSender(outbox, outbox_files.SenderLog(outbox), chooses=choice)
        try:
            _send_all(sender, lambda: show(report(outbox, choice, wanted=wanted)))
        finally:
            sender.close()
    finally:
        os.close(descriptor)
    done = report(outbox, choice, wanted=wanted)
    if not done.error and outbox_files.markers(outbox) and not addresses.in_task():
        sender_process.ensure(outbox)  # for what is still written, and for what was marked meanwhile
    elif not outbox_files.markers(outbox):
        known_roots.forget(outbox)
    return done._replace(state=_state_of(done))


def _send_all(sender: OutboxSender, show: Callable[[], None]) -> None:
    """Turn until the server has all, or refuses, or has not answered a few times."""
    failures = 0
    next_show = 0.0
    has_looked_again = False
    while True:
        before = sender.failures
        is_moving = sender.turn()
        if time.monotonic() >= next_show:
            show()
            next_show = time.monotonic() + 1
        if sender.failures > before:
            failures += 1
            is_final = sender.error is not None and sender.error.fault in {
                RemoteFault.TOKEN,
                RemoteFault.NO_TOKEN,
                RemoteFault.NOT_EXP,
                RemoteFault.VERSION,
            }
            if failures >= TRIES or is_final or (_is_busy(sender) and sender.retry_in > LONGEST_WAIT):
                return
        elif is_moving:
            failures = 0
        if sender.error is None and sender.is_done:
            if has_looked_again:
                return
            has_looked_again = True  # a verdict that it wrote itself at its first look has a marker
            sender.look_soon()
        if not is_moving:
            time.sleep(PAUSE)


def _is_busy(sender: OutboxSender) -> bool:
    return sender.error is not None and sender.error.fault == RemoteFault.BUSY


def _is_stopped(seen: OutboxReport) -> bool:
    """Whether the sender cannot deliver any of it now."""
    code = (seen.error or {}).get("code")
    return code in OF_ALL or (bool(seen.entries) and all(each.error is not None for each in seen.entries))


def _is_asked(outbox: Outbox, choice: SyncChoice) -> bool:
    """Whether the server is still to be compared with what is here."""
    marked = outbox_files.markers(outbox).values()
    return any(outbox_files.asks_again(marker.name) and choice(marker) for marker in marked)


def _is_since(outbox: Outbox, seconds: float) -> bool:
    try:
        return clock.unix(str(notes.read_state(outbox).get("time"))) >= seconds
    except ValueError:
        return False


def _state_of(seen: OutboxReport) -> DeliveryState:
    code = (seen.error or {}).get("code")
    if not seen.entries and not seen.error:
        return DeliveryState.DELIVERED
    if code in REFUSALS:
        return DeliveryState.REFUSED
    if code in {
        RemoteFault.AWAY,
        RemoteFault.BUSY,
        RemoteFault.BROKEN,
        RemoteFault.NOT_EXP,
        RemoteFault.VERSION,
    }:
        return DeliveryState.AWAY
    return DeliveryState.LEFT if seen.entries else DeliveryState.DELIVERED
