"""`exp rm`: move experiments or records to the trash, or restore them."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from nemorun_cli.cli import completion, tables, terminal, times
from nemorun_cli.cli.options import DashRoot, Json, Quiet
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import ExpError, UsageError
from nemorun_cli.experiment import externals, trash
from nemorun_cli.experiment.lookup import find_files
from nemorun_cli.experiment.maintenance import removal
from nemorun_cli.experiment.records import targets
from nemorun_cli.storage.paths import Home, age_key, name_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.experiment.maintenance.removal import RemovalPlan
    from nemorun_cli.json_documents import RmDocument
    from nemorun_cli.storage.paths import ExperimentFiles

RM_FORMAT: Final = "exp.rm/1"
LISTED: Final = 10  # experiments or records that an error lists
COLUMNS: Final = (
    Column("REMOVED"),
    Column("KIND", spare=1),
    Column("WHAT"),
    Column("BY", is_flexible=True, spare=2),
)


def command(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EXP|PREFIX...",
            help="Experiment ids or names, or prefixes of records; with --yes also globs.",
            autocompletion=completion.removable,
            show_default=False,
        ),
    ] = None,
    *,
    records: Annotated[
        bool, typer.Option("--records", help="Also remove the records that only the experiment wrote.")
    ] = False,
    restores: Annotated[
        bool, typer.Option("--restore", help="Put back what was removed; without arguments, list the trash.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove all that a glob, or a prefix with / at its end, matches.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also remove what has not arrived on its server.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
    dash_root: DashRoot = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Move experiments or records to the trash, or restore them.

    The trash is in the home; `exp gc` deletes what was removed more than 30 days ago. What runs, or is
    waited for by another experiment, is refused; so is what has not arrived on its server, except with
    --force. What has arrived stays there.

    Examples:
      exp rm training_1764000000 --records     with the records of its tasks
      exp rm alice/vision/resnet               a record, by its prefix
      exp rm 'sweep_*' --yes
      exp rm --restore                         list the trash
      exp rm --restore training_1764000000
      exp rm --restore 'sweep_*'               all that was removed
    """
    home = Home.from_environment()
    home.require_original()
    words = list(dict.fromkeys(which or ()))
    if restores:
        if records or yes or dry_run or force:
            raise UsageError(
                "--records, --yes, --force and --dry-run are for removing, and --restore takes none of them"
            )
        _restore(home, words, is_json=is_json, quiet=quiet)
        return
    if not words:
        raise UsageError("what is to be removed is missing", hint="list what was removed: exp rm --restore")
    plans = list(_plans(home, words, dash_root, yes=yes or dry_run, records=records, force=force))
    done = _Output(is_dry=dry_run, is_json=is_json, quiet=quiet)
    try:
        for plan in plans:
            done.add(plan.items if dry_run else removal.carry_out(home, plan).items, plan)
    except ExpError:
        done.show_removed()
        raise
    done.show()


def _plans(
    home: Home, words: Sequence[str], dash_root: str | None, *, yes: bool, records: bool, force: bool
) -> Iterator[RemovalPlan]:
    """What each word removes; everything that refuses one of them is checked before anything is moved."""
    experiments: dict[str, ExperimentFiles] = {}
    prefixes: dict[tuple[str, str], Any] = {}
    for word in words:
        if targets.is_prefix(word, dash_root):
            is_several = targets.is_several(word, dash_root)
            chosen = (
                list(targets.several(word, dash_root)) if is_several else [targets.single(word, dash_root)]
            )
            _require_yes(word, [record.prefix for record in chosen], yes=yes or not is_several)
            prefixes.update(((record.root, record.prefix), record) for record in chosen)
        else:
            found = _experiments(home, word)
            _require_yes(word, [files.id for files in found], yes=yes or not targets.GLOB & set(word))
            experiments.update((files.id, files) for files in found)
    if records and not experiments:
        raise UsageError("--records is for experiments: a prefix is a record")
    waited_for = externals.waited_for(home) if experiments else {}
    for files in experiments.values():
        yield removal.plan_experiment(home, files, records=records, waited_for=waited_for, is_forced=force)
    for record in prefixes.values():
        yield removal.plan_record(home, record, is_forced=force)


def _experiments(home: Home, word: str) -> list[ExperimentFiles]:
    """The experiments of a word: the one with this id, the latest of this name, or those of a glob."""
    if targets.GLOB & set(word):
        ids = [
            experiment_id
            for name, experiment_id in home.readable_ids(home.names())
            if fnmatch.fnmatchcase(experiment_id, word) or fnmatch.fnmatchcase(name, word)
        ]
        return list(home.readable(sorted(ids, key=age_key)))
    files = find_files(word, home)
    if word not in (files.id, name_in(files.id)):
        raise UsageError(
            f"{word!r} is no id and no name of an experiment; it stands for {files.id}",
            hint=f"to remove that one: exp rm {files.id}",
        )
    return [files]


def _require_yes(word: str, matching: Sequence[str], *, yes: bool) -> None:
    if yes:
        return
    more = f" and {len(matching) - LISTED} more" if len(matching) > LISTED else ""
    raise UsageError(
        f"{word} matches {len(matching)}{': ' if matching else ''}{', '.join(matching[:LISTED])}{more}",
        hint="remove all of them with --yes, or name them one by one",
    )


class _Output:
    """What was removed, or would be, and how it is shown."""

    def __init__(self, *, is_dry: bool, is_json: bool, quiet: bool) -> None:
        self._is_dry, self._is_json, self._quiet = is_dry, is_json, quiet
        self._removed: list[trash.TrashItem] = []
        self._kept: list[removal.KeptRecord] = []
        self._copies: list[str] = []

    def add(self, items: Sequence[trash.TrashItem], plan: RemovalPlan) -> None:
        self._removed += items
        self._kept += plan.kept
        self._copies += [url for url in plan.copies if url not in self._copies]

    def show_removed(self) -> None:
        """Name what was moved, each on a line."""
        verb = "would move" if self._is_dry else "moved"
        for item in self._removed:
            terminal.say(f"{verb} {item.kind} {item.label} to the trash")

    def show(self) -> None:
        if self._is_json:
            terminal.write_json(_document(dry_run=self._is_dry, removed=self._removed, kept=self._kept))
            return
        if self._quiet:
            terminal.write_lines(item.label for item in self._removed)
        else:
            self.show_removed()
        for kept in self._kept:
            terminal.warn(f"kept the record {kept.prefix}: {kept.message}")
        for url in self._copies if not self._quiet else ():
            terminal.say(f"the copy on {url} stays")
        if self._removed and not self._is_dry:
            terminal.suggest(f"exp rm --restore {self._removed[-1].label}", is_wanted=not self._quiet)


def _restore(home: Home, words: Sequence[str], *, is_json: bool, quiet: bool) -> None:
    """Restore what the words name; without any, list the trash."""
    if not words:
        _list(home, is_json=is_json, quiet=quiet)
        return
    restored: list[trash.TrashItem] = []
    for word in words:
        is_several = word.endswith("/") or bool(targets.GLOB & set(word))
        for removed in trash.matching(home, word) if is_several else [trash.choose(home, word)]:
            restored += trash.restore(home, removed)
    if is_json:
        terminal.write_json(_document(restored=restored))
    elif quiet:
        terminal.write_lines(item.label for item in restored)
    else:
        for item in restored:
            terminal.say(f"restored {item.kind} {item.label}")


def _list(home: Home, *, is_json: bool, quiet: bool) -> None:
    removals = trash.removals(home)
    if is_json:
        terminal.write_json(_document(removals=removals))
    elif quiet:
        terminal.write_lines(item.label for each in removals for item in each.items)
    else:
        tables.show(
            COLUMNS,
            [
                [times.brief(each.time), item.kind, item.label, each.by]
                for each in removals
                for item in each.items
            ],
        )
        for item in (item for each in removals for item in each.items):
            if item.obstacle:
                terminal.warn(item.obstacle)
        if not removals:
            terminal.say("hint: the trash is empty")


def _document(
    *,
    dry_run: bool = False,
    removed: Sequence[trash.TrashItem] = (),
    kept: Sequence[removal.KeptRecord] = (),
    restored: Sequence[trash.TrashItem] = (),
    removals: Sequence[trash.Removal] = (),
) -> RmDocument:
    """The document `exp.rm/1`."""
    return cast(
        "RmDocument",
        {
            "schema": RM_FORMAT,
            "dry_run": dry_run,
            "removed": [item.to_json() for item in removed],
            "kept": [each.to_json() for each in kept],
            "restored": [item.to_json() for item in restored],
            "trash": [each.to_json() for each in removals],
        },
    )
