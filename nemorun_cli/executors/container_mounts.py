"""The folders that a container of a task needs, and in which of them it may write: a boundary for its task.

In the experiment's folder a container may write only where its task has to: neither in the shim nor in a
script that a later task runs outside, nor in a file that `exp` trusts. The kernel enforces this, as each such
folder is a mount. A mount cannot be renamed from inside, but a folder above it can be, and then something
else takes its path on the machine; so the folders between a writable mount and a read-only one in it are
mounts too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.tracking.outbox import logins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nemorun_cli.model.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file or folder of the machine in a container; one that `is_fixed` is a mount wherever it is."""

    source: str
    target: str
    is_writable: bool = True
    is_fixed: bool = False

    @classmethod
    def same(cls, path: str | Path, *, is_writable: bool = True, is_fixed: bool = False) -> Mount:
        """A file or folder that has the same path in the container."""
        return cls(source=str(path), target=str(path), is_writable=is_writable, is_fixed=is_fixed)

    @property
    def depth(self) -> int:
        """By which mounts are sorted: the outer ones first."""
        return len(Path(self.target).parts)


def of_attempt(
    plan: Plan, around: Iterable[Mount], *, further: Iterable[Mount] = (), real: Callable[[str], str]
) -> list[Mount]:
    """The mounts of an attempt, without those of earlier ones; the outer ones first.

    Args:
        plan: of the attempt.
        around: folders in which the task may write, such as its workdir; they may contain the experiment's.
        further: the mounts that the spec describes, which may contain it too; they are not returned.
        real: returns a path of the machine without symbolic links.
    """
    given = {mount.target: mount for mount in further}  # a target can be mounted once
    around = [mount for mount in around if mount.target not in given]
    guards = [guard for mount in (*around, *given.values()) for guard in _guards(mount, plan, real)]
    guards = [guard for guard in guards if guard.target not in given]
    covers = [cover for mount in (*around, *given.values()) for cover in _covers(mount, plan, real)]
    return _needed([*around, *guards, *_own(plan), *covers])


def _own(plan: Plan) -> Iterator[Mount]:
    """The experiment's folder and what is in it: read-only except where the task has to write."""
    files = ExperimentFiles(Path(absolute(plan.env["EXP_DIR"])))
    attempt = files.attempt(plan.task, plan.attempt)
    yield Mount.same(files.directory, is_writable=False)
    yield Mount.same(absolute(plan.env["EXP_TASK_DIR"]))
    yield Mount.same(absolute(plan.env["EXP_SHARED"]))
    if plan.package is not None:
        yield Mount.same(files.code / Path(plan.package.folder).name)
    yield Mount.same(attempt.directory, is_fixed=True)  # so that nothing takes its place
    yield Mount.same(attempt.plan, is_writable=False)  # an executor reads there how to reach the engine


def of_earlier(files: ExperimentFiles, task: str, numbers: Iterable[int]) -> list[Mount]:
    """The folders of earlier attempts, which are read-only: what is known of them does not change."""
    folders = (files.attempt(task, number).directory for number in numbers)
    return [Mount.same(path, is_writable=False) for path in folders]


def absolute(path: str) -> str:
    """A path without `..`; links remain as they are named."""
    return os.path.abspath(path)  # noqa: PTH100 - the same


def _guards(mount: Mount, plan: Plan, real: Callable[[str], str]) -> Iterator[Mount]:
    """The mounts that keep the home of `exp`, or the experiment, read-only in a writable mount around it."""
    outer = Path(real(mount.source))
    for name in ("NEMORUN_HOME", "EXP_DIR"):
        guarded = Path(real(plan.env[name]))
        if mount.is_writable and guarded != outer and guarded.is_relative_to(outer):
            *between, last = [*reversed(guarded.parents), guarded][len(outer.parts) :]
            for path in (*between, last):
                target = str(Path(mount.target, path.relative_to(outer)))
                yield Mount(source=str(path), target=target, is_writable=path != last, is_fixed=True)
            return


def _covers(mount: Mount, plan: Plan, real: Callable[[str], str]) -> Iterator[Mount]:
    """A mount over the file of logins to servers, if a mount has it: no task may read a token."""
    file = Path(real(plan.env["NEMORUN_HOME"]), logins.FILE)
    outer = Path(real(mount.source))
    if file.is_relative_to(outer) and file.exists():
        target = str(Path(mount.target, file.relative_to(outer)))
        yield Mount(source=os.devnull, target=target, is_writable=False, is_fixed=True)


def _needed(mounts: Iterable[Mount]) -> list[Mount]:
    """These mounts, the outer ones first, without those that change nothing; of equal ones the last."""
    needed: dict[Path, Mount] = {}
    by_target = {Path(mount.target): mount for mount in mounts}
    for target, mount in sorted(by_target.items(), key=lambda entry: entry[1].depth):
        around = next((needed[path] for path in target.parents if path in needed), None)
        is_same = around is not None and around.source == around.target
        if not is_same or mount.is_fixed or around is None or around.is_writable != mount.is_writable:
            needed[target] = mount
    return list(needed.values())
