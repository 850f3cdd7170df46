"""`exp gc`: remove leftovers and, with `--older`, old experiments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import tables, terminal
from nemorun_cli.cli.options import Json, Quiet
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.maintenance import collect
from nemorun_cli.model import units
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.experiment.maintenance.collect import Removable

DEFAULT: Final = "30d"  # until what is in the trash is deleted
COLUMNS: Final = (Column("KIND"), Column("BYTES", is_number=True), Column("WHAT"))


def command(
    *,
    older: Annotated[
        str | None,
        typer.Option(
            "--older",
            metavar="DURATION",
            help="Also remove experiments, and results, that ended or were used longer ago.",
        ),
    ] = None,
    trash: Annotated[
        str,
        typer.Option(
            "--trash",
            metavar="DURATION",
            help="Delete what `exp rm` removed longer ago than this (default: 30d).",
            show_default=False,
        ),
    ] = DEFAULT,
    remote: Annotated[
        bool,
        typer.Option("--remote", help="Also remove the folders of deleted experiments on remote hosts."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed; remove nothing.")
    ] = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove leftovers and old experiments.

    What `exp rm` moved to the trash is deleted after 30 days.

    Examples:
      exp gc                          remove only leftovers
      exp gc --older 30d --dry-run    print what would be removed
      exp gc --older 30d
      exp gc --trash 0s               empty the trash of `exp rm`
      exp gc --remote --dry-run       also look on hosts that ssh leads to
    """
    home = Home.from_environment()
    home.require_original()
    age = None if older is None else _seconds(older, option="--older")
    since_removal = _seconds(trash, option="--trash")
    done = _Collection(home, is_dry=dry_run)
    if age is not None:
        done.take(collect.expired(home, older=age))
        done.take(collect.unused_results(home, older=age))
    done.take(collect.trashed(home, older=since_removal))
    done.take(collect.leftovers(home))
    done.take(collect.undelivered(home))
    if remote:
        for items in collect.remote(home):
            done.take(items)
    size = sum(item.size for item in done.removed)
    if is_json:
        terminal.write_json(
            {
                "schema": collect.GC_FORMAT,
                "dry_run": dry_run,
                "older": age,
                "bytes": size,
                "removed": [item.to_json() for item in done.removed],
                "kept": [{**item.to_json(), "message": why} for item, why in done.kept],
            }
        )
        return
    if quiet:
        terminal.write("".join(f"{item.id}\n" for item in done.removed if item.kind == "experiment"))
    elif done.removed:
        rows = [[item.kind, str(item.size), _name(item)] for item in done.removed]
        tables.show(COLUMNS, rows)
    for item, why in done.kept:
        terminal.warn(f"kept {item.path}: {why}")
    if not quiet:
        what = f"{len(done.removed)} item{'' if len(done.removed) == 1 else 's'} of {size} bytes"
        terminal.say(f"{'would remove' if dry_run else 'removed'} {what}")


def _name(item: Removable) -> str:
    return str(item.path) if item.executor or item.remote or item.id is None else item.id


@dataclass(slots=True)
class _Collection:
    """The items that were removed (or would be), and those kept, with the reason."""

    home: Home
    is_dry: bool
    removed: list[Removable] = field(default_factory=list)
    kept: list[tuple[Removable, str]] = field(default_factory=list)

    def take(self, items: Iterable[Removable]) -> None:
        """Remove the items, unless this is a dry run."""
        experiments = {item.id for item in self.removed if item.kind == "experiment"}
        for item in list(items):
            if item.remote is None and item.id in experiments:
                continue  # removed together with its experiment
            why = item.obstacle if self.is_dry else collect.remove(self.home, item)
            if why is None:
                self.removed.append(item)
            else:
                self.kept.append((item, why))


def _seconds(text: str, *, option: str) -> float:
    try:
        return units.duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
