"""What a container sees of this machine, and where in it the container may write.

In the experiment's folder a container may write only where its task has to: neither in the shim nor in a
script that a later task runs on this machine, nor in a file that `exp` trusts. The kernel enforces this, as
each such folder is a mount. A mount cannot be renamed from inside, but a folder above it can be, and then
something else takes its path on this machine; so the folders between a writable mount and a read-only one in
it are mounts too.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nemorun_cli.executors import Job
    from nemorun_cli.model.plan import Plan

_VOLUME: Final = re.compile(r"(?P<source>.+):(?P<target>/[^:]*)(:(?P<mode>[A-Za-z,]+))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file or folder of this machine in a container; one that `is_fixed` is a mount wherever it is."""

    source: str
    target: str
    is_writable: bool = True
    is_fixed: bool = False

    def to_json(self) -> dict[str, Any]:
        """The form of Docker's API."""
        mount = {"Type": "bind", "Source": self.source, "Target": self.target}
        return mount if self.is_writable else {**mount, "ReadOnly": True}


def of_plan(plan: Plan, volumes: Iterable[str] = ()) -> list[Mount]:
    """The mounts of all attempts at a task, without its volumes: an outer folder before those in it.

    Args:
        plan: of an attempt.
        volumes: the task's volumes, as `volume` returns them.
    """
    folder = _absolute(plan.env["EXP_DIR"])
    outer = [_absolute(plan.env["EXP_DASH_ROOT"])]
    if Path(plan.workdir).is_dir() and not Path(plan.workdir).is_relative_to(folder):
        outer.append(_absolute(plan.workdir))  # other ones are folders of the image, or in the experiment's
    inner = [_absolute(plan.env["EXP_TASK_DIR"]), _absolute(plan.env["EXP_SHARED"])]
    inner += [_absolute(plan.package.folder)] if plan.package is not None else []
    mounts = [_same(path) for path in outer]
    guards = [guard for mount in (*mounts, *_of_volumes(volumes)) for guard in _guards(mount, plan)]
    experiment = Mount(source=folder, target=folder, is_writable=False)
    return _needed([*mounts, *guards, *map(_same, inner), experiment])


def of_attempt(job: Job) -> list[Mount]:
    """The further mounts of one attempt: earlier ones read-only, and its own, to keep it there."""
    numbers = range(1, job.attempt)
    earlier = [job.experiment_files.attempt(job.task, number).directory for number in numbers]
    kept = [str(path) for path in earlier if _is_folder(path)]
    read_only = [Mount(source=path, target=path, is_writable=False) for path in kept]
    return [*read_only, _same(str(job.files.directory))]


def _guards(mount: Mount, plan: Plan) -> Iterator[Mount]:
    """The mounts that keep the home of `exp`, or the experiment, read-only in a mount around it."""
    around = Path(os.path.realpath(mount.source))
    for name in ("NEMORUN_HOME", "EXP_DIR"):
        guarded = Path(os.path.realpath(plan.env[name]))
        if guarded != around and guarded.is_relative_to(around):
            *between, last = [*reversed(guarded.parents), guarded][len(around.parts) :]
            for path in (*between, last):
                target = str(Path(mount.target, path.relative_to(around)))
                yield Mount(source=str(path), target=target, is_writable=path != last, is_fixed=True)
            return


def _needed(mounts: Iterable[Mount]) -> list[Mount]:
    """These mounts, the outer ones first, without those that change nothing; of equal ones the last."""
    needed: dict[Path, Mount] = {}
    by_target = {Path(mount.target): mount for mount in mounts}
    for target in sorted(by_target, key=lambda path: len(path.parts)):
        mount = by_target[target]
        around = next((needed[path] for path in target.parents if path in needed), None)
        if around is None or mount.is_fixed or around.is_writable != mount.is_writable:
            needed[target] = mount
    return list(needed.values())


def _same(path: str) -> Mount:
    return Mount(source=path, target=path)


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links stay as named


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder, and no link: what a container left must not be a way to other folders."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


# -- volumes ------------------------------------------------------------------------------------------


def volume(text: str, folder: str) -> str:
    """A volume of the spec with its path made absolute; a source without a slash names a volume."""
    source, target, mode = volume_parts(text)
    if "/" in source or source.startswith((".", "~")):
        source = os.path.normpath(Path(folder, expanded(source)))
    return ":".join([source, target, *([mode] if mode else [])])


def volume_parts(text: str) -> tuple[str, str, str]:
    """The source, the target and the mode of SOURCE:TARGET[:MODE]; the path of a source may have colons."""
    match = _VOLUME.fullmatch(text)
    assert match is not None  # noqa: S101 - the schema has the same pattern
    return match["source"], match["target"], match["mode"] or ""


def _of_volumes(volumes: Iterable[str]) -> Iterator[Mount]:
    """The volumes that are folders of this machine, and writable."""
    for text in volumes:
        source, target, mode = volume_parts(text)
        if source.startswith("/") and "ro" not in mode.split(","):
            yield Mount(source=source, target=target)


def as_mount(text: str) -> dict[str, Any]:
    """A volume whose source has a colon, which Docker does not accept in the form SOURCE:TARGET."""
    source, target, mode = volume_parts(text)
    return Mount(source=source, target=target, is_writable="ro" not in mode.split(",")).to_json()


def missing_sources(plan: Plan) -> list[str]:
    """The source paths of volumes that do not exist; Docker would create them as folders of root."""
    create, own = plan.details["create"], {mount.source for mount in of_plan(plan)}
    sources = [volume_parts(text)[0] for text in create.get("volumes", ())]
    sources += [mount["Source"] for mount in create["mounts"] if mount["Source"] not in own]
    return [source for source in sources if source.startswith("/") and not Path(source).exists()]
