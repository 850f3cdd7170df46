"""Finds the records that a request is about, among those that its caller may read."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError, NotFoundError, UsageError
from nemorun_cli.experiment.records import targets
from nemorun_cli.replication.protocol import RESERVED
from nemorun_cli.serve import forged_content
from nemorun_cli.serve.index.cache_file import CacheLostError
from nemorun_cli.serve.index.pages import Conditions
from nemorun_cli.serve.index.record_index import SEPARATOR, UNREADABLE, root_id
from nemorun_cli.serve.raw_path import parts
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.store.record_paths import RECORD, check_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.requests import Request

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.serve.index.index import Index
    from nemorun_cli.tracking import Record

VIEWS: Final = "/v1/views/records/"


def judge_of(request: Request) -> Callable[[str], bool] | None:
    """Whether the caller may read a prefix; None if all may be read."""
    state = request.app.state
    caller = request.state.caller
    if not state.site.is_private:
        return None
    return lambda prefix: bool(state.access.may_read(caller, prefix))


def may_read(request: Request, prefix: str) -> bool:
    """Whether the caller may read a prefix."""
    return bool(request.app.state.access.may_read(request.state.caller, prefix))


def prefix_of(request: Request, *, after: str = VIEWS) -> str:
    """The prefix in the path of a request.

    Args:
        request: of which the path is.
        after: the beginning of the path.

    Raises:
        NotFoundError: the path names no record.
    """
    found = parts(request.scope, after=after)
    if found is None or RECORD not in found:
        raise NotFoundError("there is no record at this path")
    return "/".join(found[: found.index(RECORD)])


def no_record(prefix: str) -> NotFoundError:
    """The error about a record that does not exist, or that the caller may not read."""
    return NotFoundError(f"there is no record {prefix!r}", hint="list them with: GET /v1/views/records")


def record_at(index: Index, prefix: str, root: str | None = None) -> Record:
    """The record with a prefix in one of the folders of records.

    Args:
        index: which knows the folders.
        prefix: of the record.
        root: the word for the folder (`root_id`); None for the first one that has such a record.

    Raises:
        NotFoundError: no record has this prefix.
        LedgerError: it cannot be read.
    """
    try:
        check_prefix(prefix)
    except UsageError:
        raise no_record(prefix) from None
    if prefix.partition("/")[0] in RESERVED:
        raise no_record(prefix)
    for folder in index.roots():
        if root is not None and root_id(folder) != root:
            continue
        try:
            record = reader.record(folder, prefix)
        except OSError as error:
            raise LedgerError(f"{prefix}: {error.strerror}") from error
        if record is not None:
            return record
    raise no_record(prefix)


def records_at(index: Index, prefix: str, *, but: str) -> list[Record]:
    """The readable records with a prefix in the folders of records other than one."""
    found = []
    for folder in index.roots():
        with contextlib.suppress(OSError, LedgerError):
            if str(folder) != but and (record := reader.record(folder, prefix)) is not None:
                found.append(record)
    return found


def whole_record(request: Request, index: Index, root: str | None, *, after: str = VIEWS) -> TargetRecord:
    """The record that a request names; for it alone, nothing else is looked at.

    Args:
        request: names the record in its path.
        index: the index.
        root: the word for its folder of records; None for the first one that has such a record.
        after: the beginning of the path.

    Raises:
        NotFoundError: it does not exist, or the caller may not read it.
    """
    prefix = prefix_of(request, after=after)
    if not may_read(request, prefix):
        raise no_record(prefix)
    try:
        with forged_content.reading(prefix):
            return targets.under(record_at(index, prefix, root))
    except (NotFoundError, CacheLostError):
        if index.site.root is not None:
            raise
    # a new experiment may have a folder of records of its own
    return index.fresh(lambda index: targets.under(record_at(index, prefix, root)))


def conditions(
    index: Index,
    judge: Callable[[str], bool] | None,
    *,
    prefix: str | None = None,
    tags: Sequence[str] = (),
    owners: Sequence[str] = (),
    experiments: Sequence[str] = (),
    since: str | None = None,
    text: str | None = None,
    root: str | None = None,
) -> Conditions:
    """The conditions of a list of records.

    Args:
        index: which knows the folders.
        judge: see `judge_of`.
        prefix: a prefix, for it and all below it, or a glob, in which `*` also matches `/`.
        tags: all of which it has.
        owners: of which it has one.
        experiments: ids, of which one wrote it.
        since: the earliest time of its latest opening, as a UTC stamp.
        text: which is in its prefix, description or tags, in any case.
        root: the word for its folder.
    """
    found = Conditions()
    roots = [folder for folder in index.roots() if root is None or root_id(folder) == root]
    found.add(f"root IN ({', '.join('?' * len(roots))})" if roots else "0", *roots)
    if prefix is not None and prefix.strip("/"):
        plain = prefix.strip("/")
        if targets.GLOB.isdisjoint(plain):
            found.add("prefix = ? OR (prefix >= ? AND prefix < ?)", plain, f"{plain}/", f"{plain}0")
        else:
            found.add("prefix = ? OR matches(prefix, ?)", plain, plain)
    if owners:
        found.add(f"owner IN ({', '.join('?' * len(owners))})", *owners)
    if experiments:
        marks = ", ".join("?" * len(experiments))
        found.add(
            f"EXISTS (SELECT 1 FROM written AS w WHERE w.experiment IN ({marks})"  # noqa: S608 - only marks
            " AND w.root = records.root AND w.prefix = records.prefix)",
            *experiments,
        )
    if since is not None:
        found.add("opened >= ?", since)
    for tag in tags:
        found.add("instr(tags, ?)", f"{SEPARATOR}{tag}{SEPARATOR}")
    if text:
        found.add("instr(searched, ?)", text.lower())
    if judge is not None:
        found.add("is_shown(prefix)")
    return found


class IndexedRecords:
    """The records under a prefix that the index has and the caller may read, for a comparison.

    Args:
        index: the index.
        judge: see `judge_of`.
        prefix: a prefix or a glob.

    Raises:
        CacheLostError: the cache is empty now.
    """

    files: None = None

    def __init__(self, index: Index, judge: Callable[[str], bool] | None, prefix: str) -> None:
        chosen = conditions(index, judge, prefix=prefix)
        chosen.add("status != ?", UNREADABLE)
        query = f"SELECT root, prefix FROM records {chosen.where} ORDER BY root, prefix"  # noqa: S608 - only texts of this package
        self._places = index.cache.read(query, chosen.values, judge=judge)
        if not self._places:
            raise no_record(prefix)

    def runs(self, *, report: Callable[[str], None]) -> Iterator[list[TargetRecord]]:
        """See `Target.runs`."""
        yield from runs_at(self._places, report)


def runs_at(places: Sequence[tuple[str, str]], report: Callable[[str], None]) -> Iterator[list[TargetRecord]]:
    """The records at some places, those of one run together; those that cannot be read are reported."""
    by_root: dict[str, list[Any]] = {}
    for root, prefix in places:
        try:
            with forged_content.reading(prefix):
                record = reader.record(root, prefix)
        except (LedgerError, UsageError, OSError) as error:
            report(f"{prefix}: {error}")
            continue
        if record is not None:
            by_root.setdefault(root, []).append(record)
    for root, readable in by_root.items():
        yield from targets.runs_of(Path(root), readable)
