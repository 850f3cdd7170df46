"""Finds the files of an experiment by its id, name or title."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import AmbiguousError, LedgerError, NotFoundError
from nemorun_cli.storage import ledger
from nemorun_cli.storage.paths import Home, age_key, skip
from nemorun_cli.system.files import open_to_read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from nemorun_cli.storage.paths import ExperimentFiles

LATEST: Final = "latest"
LONGEST_LINE: Final = 1 << 20  # bytes that are read of the first line of a ledger

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)  # an id, or a prefix of one


def find_files(which: str, home: Home) -> ExperimentFiles:
    """The files of an experiment: by id, name (its latest), unique prefix of an id, or `latest` of all.

    If nothing else matches, it may be the title of experiments of one name.

    Raises:
        NotFoundError: none matches.
        AmbiguousError: several ids have this prefix, or experiments of several names this title; the
            message lists them.
        LedgerError: none that matches can be read.
        UsageError: the home cannot be read, or another user could have changed it.
    """
    if not _WORD.fullmatch(which):  # no id starts like this; often an unset variable of a script
        if titled := _by_title(which, home):
            return titled
        raise NotFoundError(f"no experiment can be called {which[:80]!r}", hint="list them with: exp list")
    if files := home.experiment(which):
        return files
    names = home.names()
    unreadable: list[LedgerError] = []
    files = _find(which, names, home=home, report=unreadable.append)
    if files is None and unreadable:
        raise unreadable[-1]
    for error in unreadable:
        skip(error)
    if files is not None:
        return files
    if which == LATEST:
        raise NotFoundError(
            f"there are no experiments under {home.directory} yet", hint="start one: exp run SPEC"
        )
    if titled := _by_title(which, home):
        return titled
    raise _missing(which, home)


def _missing(which: str, home: Home) -> NotFoundError:
    from nemorun_cli.experiment import trash  # noqa: PLC0415 - only if nothing matches

    if remedy := trash.trace(home, which):
        return NotFoundError(f"{which} is in the trash", hint=f"restore it: {remedy}")
    return NotFoundError(
        f"there is no experiment {which!r} under {home.directory}", hint="list them with: exp list"
    )


def _by_title(title: str, home: Home) -> ExperimentFiles | None:
    """The latest experiment of the one name that experiments with this title have."""
    if not title.strip():
        return None
    from nemorun_cli.views import listing  # noqa: PLC0415 - only if nothing else matches

    names = listing.names_of_title(home, title)
    if len(names) > 1:
        raise AmbiguousError(
            f"{title!r} is the title of experiments of several names: {', '.join(names[:10])}"
        )
    return find_files(names[0], home) if names else None


def listed(words: str | Sequence[str]) -> list[str]:
    """Several texts as a list; one text is the only one in it, and not a sequence of letters."""
    return [words] if isinstance(words, str) else list(words)


def trusted(home: Home | str | PathLike[str] | None) -> Home:
    """The home that was given, itself or by its folder, or else `$NEMORUN_HOME`.

    Raises:
        UsageError: it is no folder, or another user, or everybody, may change it.
    """
    if home is None:
        return Home.from_environment()
    if not isinstance(home, Home):
        home = Home.at(home)
    home.require_trusted()
    return home


def _find(
    which: str, names: Sequence[str], *, home: Home, report: Callable[[LedgerError], None]
) -> ExperimentFiles | None:
    """The latest experiment of this name, the one with this prefix, or for `latest` the newest of all."""
    if which in names and (newest := _newest(home, [which], report)):
        return newest
    near = [name for name in names if which.startswith(name) or name.startswith(which)]
    ids = (run_id for _, run_id in home.readable_ids(near, report=report) if run_id.startswith(which))
    candidates = {files.id: files for files in home.readable(ids, report=report)}
    if len(candidates) > 1:
        listed = ", ".join(sorted(candidates, key=age_key)[-10:])
        raise AmbiguousError(f"{which!r} matches {len(candidates)} experiments: {listed}")
    if candidates:
        return next(iter(candidates.values()))
    return _newest(home, names, report) if which == LATEST else None


def _newest(
    home: Home, names: Sequence[str], report: Callable[[LedgerError], None]
) -> ExperimentFiles | None:
    found = (run_id for _, run_id in home.readable_ids(names, report=report))
    ids = sorted(found, key=age_key, reverse=True)
    for _, same_second in itertools.groupby(ids, key=lambda run_id: age_key(run_id)[0]):
        if newest := list(home.readable(same_second, report=report)):
            return newest[0] if len(newest) == 1 else max(newest, key=_created)
    return None


def _created(files: ExperimentFiles) -> str:
    """The exact creation time; experiments of two names may share a second."""
    try:
        with open_to_read(files.ledger, follows_link=False) as stream:
            event = ledger.parse(stream.readline(LONGEST_LINE))
    except OSError:
        return ""
    return str(event.get("time", "")) if event else ""
