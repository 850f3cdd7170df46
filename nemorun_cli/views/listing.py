"""Summaries of all experiments, read from the first and last lines of their ledgers.

For a finished experiment those lines are enough; the state of any other one requires a full look.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from nemorun_cli.errors import ExpError, LedgerError, NotFoundError, UsageError
from nemorun_cli.model import labels, units
from nemorun_cli.model.clock import seconds_between, stamp, unix
from nemorun_cli.model.status import ExperimentStatus, status_named
from nemorun_cli.model.wording import seconds
from nemorun_cli.storage import events as kinds
from nemorun_cli.storage import ledger
from nemorun_cli.storage.paths import LABELLED, LEDGER, REVISIONS, ExperimentFiles, age_key
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.system import owners
from nemorun_cli.system.file_end import last_bytes
from nemorun_cli.system.files import descriptor_to_read
from nemorun_cli.views import list_details, observe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.json_documents import ListExperimentFields
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import Home
    from nemorun_cli.views.snapshot import Snapshot

    Look = Callable[[ExperimentFiles], Snapshot]

LIST_FORMAT: Final = "exp.list/1"
ENDS: Final = 4096  # bytes read at either end of a ledger
CLOCK_SLACK: Final = 60.0  # seconds by which an id may be older than its `created` event

# Events that may follow `finished` without changing the result.
_ADDED: Final = tuple(f'"event":"{kind}"'.encode() for kind in (kinds.TAGGED, kinds.NOTED))
AFTERWARDS: Final = frozenset(name for name, kind in kinds.KINDS.items() if kind.may_follow_end)


class _Labels(NamedTuple):
    """The changes of tags, and the notes, in the order of the ledger."""

    tag_changes: Sequence[labels.TagChange]
    notes: Sequence[labels.Note]


_NO_LABELS: Final = _Labels((), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One experiment in a list.

    Attributes:
        status: None if its ledger is unreadable; `problem` is the reason.
        is_responding: whether its supervisor responds, None if none is alive; `stall` is why it does not.
        unsupervised: how many tasks may still run after it has terminated; None if none, or it is alive.
        not_observed: why the backends of its live tasks were not asked; None if they were, or need not be.
    """

    id: str
    name: str
    status: ExperimentStatus | None
    created: str | None
    ended: str | None
    active: float | None
    counts: Mapping[str, int]
    tags: Sequence[str]
    key: str | None
    problem: str | None = None
    is_responding: bool | None = None
    stall: str = ""
    unsupervised: int | None = None
    not_observed: str | None = None
    title: str | None = None
    notes: Sequence[labels.Note] = ()

    @property
    def warning(self) -> str:
        """What is wrong with it; empty if nothing is."""
        if text := self.problem or self.stall or self.not_observed:
            return text
        if self.unsupervised is None:
            return ""
        live = f"its supervisor has terminated; {self.unsupervised} task(s) still running"
        return f"{live}; continue with: exp resume {self.id}"

    def to_json(self) -> ListExperimentFields:
        """An entry of `experiments` in `exp.list/1`."""
        return cast(
            "ListExperimentFields",
            {
                "id": self.id,
                "name": self.name,
                "title": self.title,
                "status": self.status,
                "created": self.created,
                "ended": self.ended,
                "active": self.active,
                "counts": dict(self.counts),
                "tags": list(self.tags),
                "notes": [note.to_json() for note in self.notes],
                "key": self.key,
                "problem": self.problem,
                "responding": self.is_responding,
                "unsupervised": self.unsupervised,
                "not_observed": self.not_observed,
            },
        )


def newest_first(
    home: Home, *, names: Sequence[str] | None = None, since: str | None = None, others: bool = False
) -> Iterator[Summary]:
    """Every experiment (of these names) created at the timestamp `since` or later; each is read on demand.

    With `others`, backends are also asked about experiments that this home did not create.
    """

    def look(files: ExperimentFiles) -> Snapshot:
        return observe.look(files, home=home.directory, others=others)

    ids = [
        (age_key(experiment_id), experiment_id, name)
        for name, experiment_id in home.readable_ids(home.names() if names is None else names)
    ]
    ids.sort(reverse=True)
    # As text: joining paths would take a quarter of the total time for ten thousand experiments.
    roots = [str(root) for root in home.roots if root.is_dir()]
    uids = owners.trusted()
    # An id contains the second of its creation; after a clock change it may differ slightly from `created`.
    earliest = unix(since) - CLOCK_SLACK if since is not None else 0.0
    for second, entries in itertools.groupby(ids, key=lambda entry: entry[0][0]):
        if second < earliest:
            return
        summaries = [
            summary
            for _, experiment_id, name in entries
            if (summary := _summarize(home, experiment_id, name, roots=roots, uids=uids, look=look))
        ]
        summaries.sort(key=lambda summary: summary.created or "", reverse=True)
        for summary in summaries:
            if since is None or summary.created is None or summary.created >= since:
                yield summary


def matching(
    home: Home,
    *,
    names: Sequence[str] = (),
    statuses: Collection[str] = (),
    tags: Sequence[str] = (),
    executors: Collection[str] = (),
    text: str | None = None,
    since: str | None = None,
    others: bool = False,
) -> Iterator[Summary]:
    """The summaries that match all filters, newest first; experiments that are too old are not read.

    Args:
        home: the home.
        names: names or globs, of which one has to match; empty for all.
        statuses: statuses, of which it has one; empty for all. See the function `statuses`.
        tags: tags, all of which it has.
        executors: names of executors, one of which a task of it has; empty for all.
        text: is in its id, its title, its description or its tags, in whatever case; None for all.
        since: the earliest creation time, as a UTC stamp. See the function `since`.
        others: see `newest_first`.
    """
    chosen = home.names()
    if names:
        chosen = [name for name in chosen if has_name(name, names)]
    for summary in newest_first(home, names=chosen, since=since, others=others):
        if statuses and summary.status not in statuses:
            continue
        if tags and not set(tags) <= set(summary.tags):
            continue
        if (executors or text is not None) and not _has_details(home, summary, executors, text):
            continue
        yield summary


def _has_details(home: Home, summary: Summary, executors: Collection[str], text: str | None) -> bool:
    """Whether its spec has one of the executors, and what is searched in has the text."""
    try:
        files = home.experiment(summary.id)
    except ExpError:
        files = None
    document = None if files is None else list_details.spec_document(files)
    if executors and set(list_details.executors(document)).isdisjoint(executors):
        return False
    about = list_details.description(document)
    searched = list_details.searched(summary.id, summary.title, about, summary.tags)
    return text is None or text.lower() in searched


def has_name(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name or title is one of these, or matches one as a glob."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def statuses(words: Iterable[str], *, option: str) -> frozenset[str]:
    """Statuses of experiments, given in any case, SUCCEEDED for COMPLETED.

    Raises:
        UsageError: a word is no status; the message names the option.
    """
    chosen = {word.upper(): status_named(word) for word in words}
    if unknown := [word for word, status in chosen.items() if status is None]:
        known = ", ".join(ExperimentStatus)
        raise UsageError(f"{option} {min(unknown)}: unknown status (there are: {known})")
    return frozenset(str(status) for status in chosen.values())


def since(text: str, *, option: str) -> str:
    """A duration before now, or a date, as a UTC stamp; raises UsageError, which names the option."""
    try:
        return stamp(time.time() - units.duration(text))
    except ValueError:
        pass
    from datetime import datetime  # noqa: PLC0415 - only for dates

    try:
        return stamp(datetime.fromisoformat(text).astimezone().timestamp())
    except ValueError:
        raise UsageError(
            f"{option} {text}: must be a duration (2h, 3d) or a date (2026-11-22, 2026-11-22T08:00)"
        ) from None


def names_of_title(home: Home, title: str) -> list[str]:
    """The names of the experiments with this title, each once; what cannot be read has none."""
    return list(dict.fromkeys(summary.name for summary in newest_first(home) if summary.title == title))


def duration_text(summary: Summary) -> str:
    """The time without pauses that the experiment took, until now if it is not finished.

    Older ledgers do not record it: for them it is the time from the creation to the end.
    """
    if summary.active is not None:
        return seconds(summary.active)
    if summary.created is None or summary.ended is None:
        return ""
    return seconds(seconds_between(summary.created, summary.ended))


def summarize(home: Home, experiment_id: str, name: str, *, look: Look) -> Summary | None:
    """The summary of one experiment, or None if no experiment has this id.

    Args:
        home: the home.
        experiment_id: its id.
        name: its name.
        look: takes a snapshot of it, if the ends of its ledger are not enough.
    """
    roots = [str(root) for root in home.roots]
    return _summarize(home, experiment_id, name, roots=roots, uids=owners.trusted(), look=look)


def _summarize(
    home: Home, experiment_id: str, name: str, *, roots: Sequence[str], uids: frozenset[int], look: Look
) -> Summary | None:
    """The summary of one experiment, or None if no folder of this id is an experiment."""
    directories = (f"{root}/{name}/{experiment_id}" for root in roots)
    try:
        found = (
            _summary(home, experiment_id, name, directory=directory, uids=uids, look=look)
            for directory in directories
        )
        return next((summary for summary in found if summary is not None), None)
    except Exception as error:  # noqa: BLE001 - what one experiment contains must not hide all others
        return unreadable(experiment_id, name, f"cannot be read: {type(error).__name__}: {error}")


def _summary(
    home: Home, experiment_id: str, name: str, *, directory: str, uids: frozenset[int], look: Look
) -> Summary | None:
    path = f"{directory}/{LEDGER}"
    try:
        if not owners.is_unshared(os.stat(directory), uids):  # noqa: PTH116 - as text
            ExperimentFiles(Path(directory)).require_trusted()
        head, tail = _ends(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return unreadable(experiment_id, name, f"cannot read its ledger: {error.strerror}")
    except LedgerError:
        return _looked(home, experiment_id, name, look)  # reports it, if it is an experiment
    created, finished = _created(head), _finished(tail)
    added = _added_later(head, path) if created is not None and finished is not None else None
    if created is None or finished is None or added is None or _was_changed(head, path):
        return _looked(home, experiment_id, name, look)
    try:
        return Summary(
            id=experiment_id,
            name=name,
            status=ExperimentStatus(finished["status"]),
            created=str(created["time"]),
            ended=str(finished["time"]),
            active=finished.get("active"),
            counts=dict(finished.get("counts", {})),
            tags=labels.current(created.get("tags", ()), added.tag_changes),
            notes=added.notes,
            key=created.get("key"),
            title=created.get("title"),
        )
    except (LookupError, TypeError, ValueError):
        return unreadable(experiment_id, name, "its ledger has events that no version of exp writes")


def _was_changed(head: bytes, path: str) -> bool:
    """Whether a resume changed the spec, and perhaps its tags; `head` decides if it is the whole ledger."""
    may_be_changed = len(head) == ENDS or b'"revision"' in head
    return may_be_changed and os.path.isdir(f"{path[: -len(LEDGER)]}{REVISIONS}")  # noqa: PTH112 - as text, as above


def _added_later(head: bytes, path: str) -> _Labels | None:
    """The tags and notes that were added; None if they cannot be read. `head` may be the whole ledger."""
    if len(head) < ENDS:
        may_have = any(kind in head for kind in _ADDED)
    else:
        may_have = os.path.exists(f"{path[: -len(LEDGER)]}{LABELLED}")  # noqa: PTH110 - as text, as above
    if not may_have:
        return _NO_LABELS
    try:
        events = ledger.reader_of(Path(path)).read()
    except (LedgerError, NotFoundError):
        return None
    state = ExperimentState(tasks={})
    state.apply_all(event for event in events if event["event"] in (kinds.TAGGED, kinds.NOTED))
    return _Labels(state.tag_changes, state.notes)


def _ends(path: str) -> tuple[bytes, bytes]:
    """The first and the last bytes of a file; the same bytes if it is small."""
    descriptor = descriptor_to_read(path, follows_link=False)  # a stream would cost a tenth of the total time
    try:
        head = os.read(descriptor, ENDS)
        if len(head) < ENDS:
            return head, head
        return head, last_bytes(descriptor, ENDS)[0]
    finally:
        os.close(descriptor)


def _created(head: bytes) -> Event | None:
    """The `created` event, if it has the format of this version."""
    event = ledger.parse(head.partition(b"\n")[0])
    is_usable = event is not None and event.get("format") == ledger.FORMAT and kinds.flaw(event) is None
    return event if is_usable else None


def _finished(tail: bytes) -> Event | None:
    """The `finished` event, if it is in the last complete batches and only `AFTERWARDS` events follow it."""
    end = len(tail)
    while tail[:end].endswith(b"\n"):
        begin = tail.rfind(b"\n", 0, end - 1) + 1
        mark = ledger.parse(tail[begin:end])
        start = ledger.start_of_batch(mark, tail, begin) if mark is not None and "mark" in mark else None
        if start is None:
            return None  # an incomplete batch at the end, or one that begins before these bytes
        for line in reversed(tail[start:begin].splitlines()):
            event = ledger.parse(line)
            kind = event.get("event") if event is not None else None
            if event is not None and kind == kinds.FINISHED:
                return event if kinds.flaw(event) is None else None
            if not isinstance(kind, str) or kind not in AFTERWARDS:
                return None
        end = start
    return None


def _looked(home: Home, experiment_id: str, name: str, look: Look) -> Summary | None:
    try:
        files = home.experiment(experiment_id)
        if files is None:
            return None
        snapshot = look(files)
    except NotFoundError:
        return None  # removed meanwhile
    except ExpError as error:
        return unreadable(experiment_id, name, error.message)
    finished = snapshot.history.finished
    return Summary(
        id=experiment_id,
        name=name,
        status=snapshot.status,
        title=snapshot.spec.title,
        created=snapshot.history.created.get("time"),
        ended=finished["time"] if finished else None,
        active=snapshot.active,
        counts={status: count for status, count in snapshot.history.counts.items() if count},
        tags=snapshot.tags,
        notes=snapshot.history.notes,
        key=snapshot.history.created.get("key"),
        is_responding=snapshot.is_responding,
        stall=snapshot.stall_text,
        unsupervised=(snapshot.live or None) if snapshot.supervisor == "gone" else None,
        not_observed=snapshot.not_observed,
    )


def unreadable(experiment_id: str, name: str, problem: str) -> Summary:
    """The entry of an experiment that cannot be read, and why."""
    return Summary(
        id=experiment_id,
        name=name,
        status=None,
        created=None,
        ended=None,
        active=None,
        counts={},
        tags=(),
        key=None,
        problem=problem,
    )
