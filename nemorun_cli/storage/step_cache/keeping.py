"""Keeps the result of an attempt that has succeeded, so that a later task can have it instead of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.clock import stamp
from nemorun_cli.storage import attempts
from nemorun_cli.storage.step_cache import declared_files, records
from nemorun_cli.storage.step_cache.content_digests import ContentError
from nemorun_cli.storage.step_cache.contents import StoredContent, UnsteadyFileError
from nemorun_cli.storage.step_cache.declared_files import UnreadableFolderError
from nemorun_cli.storage.step_cache.entries import KeptFile, StepCacheEntry, UnreadableEntryError, stamps
from nemorun_cli.storage.step_cache.records import UnkeptRecordError
from nemorun_cli.system import crashpoints, locks, trees
from nemorun_cli.system.files import RefusedFileError, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.storage.step_cache.attempt_site import AttemptSite
    from nemorun_cli.storage.step_cache.entries import StepCache, TrackedRecord


class _UnkeptError(Exception):
    """The result is not kept; the message is the reason."""


def keep(
    cache: StepCache,
    site: AttemptSite,
    *,
    fingerprint: str,
    outputs: Mapping[str, Any],
    exit_code: int = 0,
    replaces: bool = False,
) -> str | None:
    """Keep the result of an attempt, unless an equal one is kept already; returns why it is not.

    Args:
        cache: the step cache.
        site: the places of the attempt, which has succeeded, and whose processes have terminated.
        fingerprint: of all that the result depends on, the same before and after the attempt.
        outputs: what the task wrote to `$EXP_OUTPUT`.
        exit_code: of the attempt.
        replaces: whether a result that is kept is replaced.
    """
    make_folder(cache.home.step_cache)
    with locks.sharing(cache.home.step_cache_lock):
        try:
            is_intact = _is_intact(cache, fingerprint)
            if is_intact and not replaces:
                return None
            crashpoints.point("step_cache.keeping")
            entry = _stored(cache, site, fingerprint, outputs, exit_code)
            crashpoints.point("step_cache.contents")
            cache.write(entry, replaces=replaces or is_intact is False)
        except (_UnkeptError, UnkeptRecordError, UnreadableFolderError, ContentError) as error:
            return str(error)
        except UnsteadyFileError as error:
            return f"{error} was changed while it was copied"
        except RefusedFileError as error:
            return f"{error.filename} is not kept: {error.strerror}"
        except OSError as error:
            return f"{error.filename or cache.home.step_cache}: {error.strerror or error}"
        crashpoints.point("step_cache.kept")
    return None


def _is_intact(cache: StepCache, fingerprint: str) -> bool | None:
    """Whether the entry of a fingerprint can be taken; None without an entry."""
    try:
        entry = cache.read(fingerprint)
    except UnreadableEntryError as error:
        raise _UnkeptError(f"{error} (remedy: remove this file)") from error
    return None if entry is None else cache.altered(entry) is None


def _stored(
    cache: StepCache, site: AttemptSite, fingerprint: str, outputs: Mapping[str, Any], exit_code: int
) -> StepCacheEntry:
    """The entry of a result, whose contents are stored now."""
    kept: dict[str, StoredContent] = {}
    files = [
        _put(cache, name, path, kept, inside=root) for root, name, path in dict.fromkeys(_declared(site))
    ]
    artifacts = [
        _put(cache, name, path, kept, inside=site.experiment.directory) for name, path in _artifacts(site)
    ]
    archive, tracked = _records(cache, site, kept)
    return StepCacheEntry(
        id=fingerprint,
        experiment=site.experiment.id,
        task=site.task,
        attempt=site.attempt,
        kept=stamp(),
        exit_code=exit_code,
        outputs=outputs,
        files=tuple(files),
        artifacts=tuple(artifacts),
        records=tuple(tracked),
        archive=archive,
        contents=stamps(kept),
    )


def _declared(site: AttemptSite) -> Iterator[tuple[Path, str, Path]]:
    """The files that the task has declared as its outputs: where their search began, name and path."""
    if (folders := site.folders) is None:
        return
    for glob in site.globs:
        found = sorted(declared_files.files(glob, folders))
        if not found:
            raise _UnkeptError(f"no file matches {glob}, which cache.outputs names")
        root = declared_files.Glob.of(glob).root(folders)
        yield from ((root, name, path) for name, path in found)


def _artifacts(site: AttemptSite) -> Iterator[tuple[str, Path]]:
    """The files that were copied back from another host, with their paths in the folder of them."""
    top = site.files.artifacts
    for visit in trees.walk(top):
        for entry in visit.entries:
            if entry.is_file(follow_symlinks=False):
                path = Path(visit.path(entry.name))
                yield str(path.relative_to(top)), path


def _put(
    cache: StepCache, name: str, path: Path, kept: dict[str, StoredContent], *, inside: Path
) -> KeptFile:
    content = cache.contents.put(path, inside=inside)
    kept[content.digest] = content
    crashpoints.point("step_cache.content")
    return KeptFile(name, content.digest, content.mode)


def _records(
    cache: StepCache, site: AttemptSite, kept: dict[str, StoredContent]
) -> tuple[str | None, list[TrackedRecord]]:
    """Store what the attempt and those before it have tracked."""
    before = attempts.earlier(site.experiment, site.task, site.attempt)
    registers = [site.experiment.attempt(site.task, number).records for number in (*before, site.attempt)]
    found = records.places(site.tracked, site.task, registers, inside=site.experiment.directory)
    with cache.contents.writing() as temporary:
        tracked, blobs = records.pack(
            temporary, found, site.tracked, experiment=site.experiment.id, task=site.task
        )
        if not tracked:
            return None, []
        archive = cache.contents.take_in(temporary)
    kept[archive.digest] = archive
    for path in blobs:
        _put(cache, path.name, path, kept, inside=path.parent)
    return archive.digest, tracked
