"""Creates an experiment: its folder, its copies of the spec, and the first line of its ledger."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nemorun_cli.errors import LedgerError, UsageError
from nemorun_cli.executors import planning, shim_call
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.masking import mask
from nemorun_cli.model.spec import Identity
from nemorun_cli.spec import load
from nemorun_cli.spec.yaml import writer
from nemorun_cli.storage import creation_mark, events, paths, spec_copies
from nemorun_cli.storage.ledger import Ledger
from nemorun_cli.storage.paths import ExperimentFiles, Home
from nemorun_cli.storage.spec_origin import Origin
from nemorun_cli.system import crashpoints, environment
from nemorun_cli.system.files import FOLDER_MODE, copy_file, is_regular, make_folder, sync, write
from nemorun_cli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from nemorun_cli.experiment.ship import Shipments
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.spec.document import Document


def tentative(document: Document, home: Home) -> Identity:
    """The identity that an experiment created now would have; nothing is created."""
    name = document.name
    wanted = document.wanted_id or ""
    experiment_id = wanted if paths.name_in(wanted) == name else f"{name}_{int(time.time())}"
    return Identity(id=experiment_id, name=name, directory=str(home.root_of_new() / name / experiment_id))


def resolve(document: Document, identity: Identity, *, known: Mapping[str, str] | None = None) -> Spec:
    """The spec as an experiment of this identity runs it: resolved, and changed by its plugins.

    `known` has the ids of experiments that tasks wait for, by the names in the spec that keep them.

    Raises:
        SpecError: it has problems.
        UsageError: a plugin raised.
    """
    spec = located(document, identity, known=known)
    if not spec.plugins and not document.plugins:
        return spec
    from nemorun_cli.experiment import plugin_changes  # noqa: PLC0415 - only for specs with plugins

    return plugin_changes.changed(document, spec, identity)


def located(document: Document, identity: Identity, *, known: Mapping[str, str] | None = None) -> Spec:
    """The resolved spec with the experiments that its tasks wait for; no plugin is imported.

    Raises:
        SpecError: it has problems.
    """
    spec = load.resolve(document, identity)
    if not spec.external:
        return spec
    from nemorun_cli.experiment import externals  # noqa: PLC0415 - only for specs that wait for others

    home = Home(ExperimentFiles(Path(identity.directory)).home)
    return externals.resolved(spec, document, home, known or {})


def create(
    document: Document,
    spec: Spec,
    identity: Identity,
    *,
    home: Home,
    by: str,
    key: str | None = None,
    secrets: Collection[str] = (),
) -> tuple[ExperimentFiles, Spec]:
    """Create an experiment on disk; until its ledger exists, its folder does not count as an experiment.

    Args:
        document: the spec, read and checked.
        spec: the spec resolved for `identity`; it is resolved again if that id is taken meanwhile.
        identity: the result of `tentative`.
        home: the home to create it in.
        by: who requested it.
        key: the name of the logical run.
        secrets: values to mask in the first event.

    Raises:
        SpecError: a packager cannot ship its content.
        UsageError: the home is not writable, or what is created in it belongs to another user.
        UntrustedError: the folder of the name belongs to another user, or everybody may write to it.
        LedgerError: its disk is full.
    """
    try:
        if home.is_replica:
            raise UsageError(
                f"{home.directory} has a server's copies of another machine's experiments",
                hint="use a home of your own: NEMORUN_HOME",
            )
        with shipping(spec, document, home) as shipments, _keeping_environments(spec, home):
            files = _make_folder(identity, spec, home)
            crashpoints.point("create.folder")
            make_folder(files.shared)
            spec = _resolved_for(files, document, spec, identity)
            spec = replace(spec, packages=shipments.unpack(files)) if shipments else spec
            _copy_shim(files)
            write_copies(files, document, spec, directory=files.directory)
            creation_mark.write(home, files, spec)
            crashpoints.point("create.files")
            _begin_ledger(files, spec, home=home, by=mask(by, secrets), key=key, document=document)
            crashpoints.point("create.ledger")
    except OSError as error:
        location = error.filename2 or error.filename or home.directory  # of a copy, its target
        text = f"cannot create the experiment: {error.strerror}: {location}"
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UsageError(text, hint=paths.ANOTHER_HOME) from error
        raise LedgerError(text) from error
    return files, spec


@contextlib.contextmanager
def shipping(spec: Spec, document: Document, home: Home) -> Iterator[Shipments | None]:
    """The code that the tasks of a spec ship, kept in the store inside the block; None if they ship none."""
    if all(task.packager is None for task in spec.possible_tasks):
        yield None
        return
    from nemorun_cli.experiment import ship  # noqa: PLC0415 - only for specs with packagers

    with ship.shipping(spec, document, home) as shipments:
        yield shipments


@contextlib.contextmanager
def _keeping_environments(spec: Spec, home: Home) -> Iterator[None]:
    """Keep the Python environments of a spec in the home inside the block."""
    if not spec.environments:
        yield
        return
    from nemorun_cli.packagers.environments import store  # noqa: PLC0415 - only for specs with environments

    with store.used(home):
        yield


def _make_folder(identity: Identity, spec: Spec, home: Home) -> ExperimentFiles:
    folder = Path(identity.directory).parent
    make_folder(folder)
    home.require_trusted()  # a file system may give new folders to another user
    paths.require_trusted_name(folder)
    name = identity.id
    while True:
        try:
            (folder / name).mkdir(mode=FOLDER_MODE)
        except FileExistsError:
            name = paths.next_id(name)
        except FileNotFoundError:  # `exp gc` removed the folder of the name because it was empty
            make_folder(folder)
        else:
            if _is_taken_elsewhere(home, folder, name) or _is_left_over(home, spec, name):
                (folder / name).rmdir()
                name = paths.next_id(name)
                continue
            sync(folder)
            return ExperimentFiles(folder / name)


def _is_taken_elsewhere(home: Home, folder: Path, experiment_id: str) -> bool:
    """Whether the other root of the home has this id; of two processes, both see it and take other ids."""
    others = (root for root in home.roots if root != folder.parent)
    return any((root / folder.name / experiment_id).exists() for root in others)


def _is_left_over(home: Home, spec: Spec, experiment_id: str) -> bool:
    """Whether an experiment of this id is in the trash, or its records were kept when it was removed."""
    if home.trash.is_dir() and experiment_id in home.removed_ids():
        return True
    prefix = planning.prefix(spec, experiment_id)
    return experiment_id in prefix and os.path.lexists(planning.dash_root(spec, home.directory) / prefix)


def _resolved_for(files: ExperimentFiles, document: Document, spec: Spec, identity: Identity) -> Spec:
    """The spec, resolved again if another process took the id that it was resolved for."""
    if files.id == identity.id:
        return spec
    renamed = Identity(id=files.id, name=identity.name, directory=str(files.directory))
    return replace(resolve(document, renamed), run=spec.run)


def _copy_shim(files: ExperimentFiles) -> None:
    shutil.copyfile(shim_call.SHIM, files.shim)
    files.shim.chmod(0o700)


def write_copies(files: ExperimentFiles, document: Document, spec: Spec, *, directory: Path) -> None:
    """Write the copies of the spec and scripts of the experiment in `directory`, `resolved.json` last."""
    write(files.spec, document.text)
    write(files.source, json.dumps(_origin(document).to_json()))
    if any(task.kind == "partial" for task in spec.possible_tasks):
        shutil.copyfile(planning.RUN_PARTIAL, files.partial)
        files.partial.chmod(0o600)
    if any(task.python is not None for task in spec.possible_tasks):
        shutil.copyfile(planning.ACTIVATE, files.activate)
        files.activate.chmod(0o600)
    for source in {str(task.body) for task in spec.possible_tasks if task.kind == "script"}:
        copy = paths.script_copy(source, files)
        make_folder(copy.parent)
        kept = paths.script_copy(source, document.copies) if document.copies else _shipped(source, spec)
        original = kept if kept is not None and is_regular(kept) else source
        try:
            copy_file(original, copy, mode=0o700)
        except FileNotFoundError:
            raise UsageError(f"the script {source} was deleted after the spec was checked") from None
    write(files.resolved, spec_copies.text(spec, directory))
    for path in (files.spec, files.resolved):
        sync(path)


def _shipped(source: str, spec: Spec) -> Path | None:
    """A script's copy in the store, if all its tasks run that copy; the source may have changed since."""
    if not spec.packages:
        return None
    copies = {
        package.stored(source, folder=spec.folder) if package and source in package.scripts else None
        for task in spec.possible_tasks
        if task.kind == "script" and str(task.body) == source
        for package in [spec.package(task)]
    }
    return copies.pop() if len(copies) == 1 else None


def _begin_ledger(
    files: ExperimentFiles, spec: Spec, *, home: Home, by: str, key: str | None, document: Document
) -> None:
    Ledger(files.ledger, files.ledger_lock).create(
        {
            "event": events.CREATED,
            "time": stamp(),
            "by": by,
            "id": files.id,
            "name": spec.name,
            "title": spec.title,
            "key": key,
            "rerun_of": document.copies.id if document.copies else None,
            "tags": list(spec.tags),
            "tasks": len(spec.tasks),
            "prefix": planning.prefix(spec, files.id),
            "home": str(home.directory),
            "version": __version__,
            "packages": [package.to_json() for package in spec.packages],
            "environment": environment.recorded(),
        }
    )


def _origin(document: Document) -> Origin:
    """The file, params and options that a document was made from."""
    return Origin(
        file=os.path.abspath(document.path),  # noqa: PTH100 - keeps symbolic links
        is_file=document.is_file,
        params=document.params,
        sets=document.sets,
        sweeps=document.sweeps,
        only=document.only,
        others=dict(document.others),
        whole=None if document.whole is None else dict(document.whole),
        whole_text=None if document.whole is None else writer.document(document.whole),
    )
