"""The mounts of a container: of the experiment, of the records, of the workdir, and the spec's volumes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors import container_mounts
from nemorun_cli.executors.container_mounts import Mount, absolute
from nemorun_cli.storage import attempts
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nemorun_cli.executors import Job
    from nemorun_cli.model.plan import Plan

_VOLUME: Final = re.compile(r"(?P<source>.+):(?P<target>/[^:]*)(:(?P<mode>[A-Za-z,]+))?", re.DOTALL)


def of_plan(plan: Plan, volumes: Iterable[str] = ()) -> list[Mount]:
    """The mounts of an attempt, without volumes and earlier attempts; an outer folder before inner ones.

    Args:
        plan: of an attempt.
        volumes: the task's volumes, as `volume` returns them.
    """
    around = [Mount.same(absolute(plan.env["EXP_DASH_ROOT"]))]
    is_inside = Path(plan.workdir).is_relative_to(plan.env["EXP_DIR"])
    if not is_inside and Path(plan.workdir).is_dir():  # otherwise it is a folder of the image
        around.append(Mount.same(absolute(plan.workdir)))
    return container_mounts.of_attempt(plan, around, further=_folders(volumes), real=os.path.realpath)


def of_earlier(job: Job) -> list[Mount]:
    """The mounts of the folders of earlier attempts, as far as they exist now."""
    files = job.experiment_files
    return container_mounts.of_earlier(files, job.task, attempts.earlier(files, job.task, job.attempt))


def argument(mount: Mount) -> dict[str, Any]:
    """A mount in the form of Docker's API."""
    bind = {"Type": "bind", "Source": mount.source, "Target": mount.target}
    return bind if mount.is_writable else {**bind, "ReadOnly": True}


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


def volume_mount(text: str) -> Mount:
    """A volume as a mount; Docker does not accept a source with a colon in the form SOURCE:TARGET."""
    source, target, mode = volume_parts(text)
    return Mount(source=source, target=target, is_writable="ro" not in mode.split(","))


def _folders(volumes: Iterable[str]) -> Iterator[Mount]:
    """The volumes that are folders of this machine."""
    return (mount for mount in map(volume_mount, volumes) if mount.source.startswith("/"))


def missing_sources(plan: Plan) -> list[str]:
    """The source paths of volumes that do not exist; Docker would create them as folders of root."""
    create, own = plan.details["create"], {mount.source for mount in of_plan(plan)}
    sources = [volume_parts(text)[0] for text in create.get("volumes", ())]
    sources += [mount["Source"] for mount in create["mounts"] if mount["Source"] not in own]
    return _missing(sources)


def missing_volumes(volumes: Iterable[str], folder: str) -> list[str]:
    """The same of the volumes of a spec in a folder, before there is a plan."""
    return _missing(volume_parts(volume(text, folder))[0] for text in volumes)


def _missing(sources: Iterable[str]) -> list[str]:
    return [source for source in sources if source.startswith("/") and not Path(source).exists()]
