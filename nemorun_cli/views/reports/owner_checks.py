"""The checks of `exp doctor` about other users: who can change what is run, and who can read the home."""

from __future__ import annotations

import shlex
import stat
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import LedgerError, UsageError
from nemorun_cli.storage import paths
from nemorun_cli.system import owners
from nemorun_cli.views.reports.doctor_report import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from nemorun_cli.storage.paths import Home

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
NAMED: Final = 3  # folders in a remedy


def of_owners(home: Home, folder: Path) -> Iterator[Check]:
    """Whether only this user, and root, can change what is run.

    Args:
        home: the home; one that does not exist, or is not trusted, is for `doctor_report.of_home`.
        folder: the working folder, in which specs of a project are run.
    """
    yield from _of_executor_files(home, folder)
    if not home.directory.is_dir():
        return
    yield from _of_parents(home.directory)
    try:
        home.require_trusted()
    except UsageError:
        return
    try:
        names = home.names()
    except UsageError as unreadable:
        yield Check(
            subject="experiments", state="trouble", message=unreadable.message, remedy=unreadable.hint
        )
        return
    yield _of_privacy(home)
    problems: list[LedgerError] = []
    ids = [each for _, each in home.readable_ids(names, report=problems.append)]
    folders = [files.directory for files in home.readable(ids, report=problems.append)]
    for problem in problems:
        yield Check(subject="experiments", state="warning", message=problem.message, remedy=problem.hint)
    of_names = (root / name for root in home.roots for name in names)
    yield from _of_groups([*home.parts, *of_names, *folders])


def _of_executor_files(home: Home, folder: Path) -> Iterator[Check]:
    """The files of executors that are not used, or that a group may write to."""
    try:
        project = paths.project_executors(folder)
    except UsageError as error:
        project = None
        yield Check(subject="executors", state="warning", message=error.message, remedy=error.hint)
    for path in (project, home.executors):
        if path is None:
            continue
        try:
            distrust = paths.executors_distrust(path)
        except OSError:  # the home cannot be read, which is reported elsewhere
            continue
        if distrust is not None:
            yield Check(
                subject="executors", state="warning", message=distrust.message, remedy=distrust.remedy
            )
        elif path.is_file():
            yield from _of_groups([path.parent, path])


def _of_parents(folder: Path) -> Iterator[Check]:
    """Folders above the home whose owner, or everybody, can rename it and put another folder in its place."""
    uids = owners.trusted()
    for parent in dict.fromkeys([*folder.parents, *folder.resolve().parents]):
        status = parent.stat()
        is_open = bool(status.st_mode & stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
        if status.st_uid not in uids or is_open:
            who = "everybody" if is_open else owners.name_of(status.st_uid) or f"uid {status.st_uid}"
            yield Check(
                subject="parents",
                state="warning",
                message=f"{who} can rename what is in {parent}, and so remove the home {folder}",
                remedy="point NEMORUN_HOME to a folder below one of yours",
            )


def _of_privacy(home: Home) -> Check:
    """Whether only this user can look into the home."""
    folder = next((root for root in (home.apart, home.experiments) if root.is_dir()), home.directory)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & OTHERS and home.directory.stat().st_mode & OTHERS:
        return Check(
            subject="privacy",
            state="warning",
            message=f"other users can access {folder} (mode {mode:03o}), which contains logs and outputs",
            remedy=f"chmod 700 {folder}",
        )
    return Check(subject="privacy", state="well", message=f"only you can access {folder}")


def _of_groups(places: Sequence[Path]) -> Iterator[Check]:
    """The groups whose members may write to files or folders; each path comes after those that contain it."""
    writable: dict[str, list[Path]] = {}
    passable = {places[0].parent}
    for path in places:
        try:
            status = path.stat()
        except OSError:  # a part of the home that does not exist yet
            continue
        if path.parent not in passable:
            continue
        if status.st_mode & stat.S_IXGRP:
            passable.add(path)
        if group := owners.writing_group(status):
            writable.setdefault(group, []).append(path)
    for group, found in writable.items():
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        named = " ".join(shlex.quote(str(path)) for path in found[:NAMED])
        yield Check(
            subject="group",
            state="warning",
            message=f"members of the group {group} can change what exp runs as you: {found[0]}{more}",
            remedy=f"unless you trust all of them: chmod g-w {named}",
        )
