"""From a spec's YAML to a resolved Spec, or to all of its problems at once."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import Problem
from nemorun_cli.model.spec import Identity, Spec
from nemorun_cli.spec.compose.composition import Sources, composed
from nemorun_cli.spec.compose.executor_files import LOCAL, ExecutorCatalog
from nemorun_cli.spec.compose.overrides import applied
from nemorun_cli.spec.document import Document
from nemorun_cli.spec.pipeline import Resolution
from nemorun_cli.spec.yaml.source import SpecSource, open_source
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.executors.executor_types import ExecutorTypes
    from nemorun_cli.spec.compose.composition import Composition
    from nemorun_cli.storage.paths import ExperimentFiles


def read(
    source: Path | str | Mapping[str, Any],
    *,
    params: Sequence[str] = (),
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    executors: ExecutorTypes | None = None,
    home: Home | None = None,
    path: Path | None = None,
) -> Document:
    """The spec, read and checked.

    Args:
        source: a path, or the spec as data; then paths in it are relative to the working folder.
        params: values of params, each `name=value`.
        sets: changes of fields, each `path.to.key=value`.
        only: the tasks, groups or members to run; all if there are none.
        executors: the types there are; by default all, and no engine is asked whether requests can be met.
        home: where the user's executors are described; by default the one of the environment.
        path: what stands for the file of a spec that is given as data.

    Raises:
        SpecError: with all problems of the spec.
    """
    options = _Options(
        params=tuple(params),
        sets=tuple(sets),
        only=tuple(only),
        executors=executors or _unasked(),
        home=home,
    )
    if isinstance(source, (str, Path)) and _is_program(Path(source)):
        return _built(Path(source), options)
    text_source, found = _source(source, file="spec" if path is None else str(path))
    return _read(text_source, path or found, options)


def _is_program(path: Path) -> bool:
    return path.suffix == ".py" and path.is_file()


def _built(program: Path, given: _Options) -> Document:
    """What a Python program builds, with the options of a command over its own."""
    from nemorun_cli.spec import python_specs  # noqa: PLC0415 - only for programs

    built, own = python_specs.run(program)
    options = replace(given, sets=(*own, *given.sets))
    document = _read(_written(built.spec, file=str(program)), built.path, options)
    return with_plugins(document, built.plugins)


def with_plugins(document: Document, plugins: Sequence[tuple[object, tuple[str, ...] | None]]) -> Document:
    """The document with plugins that were made in Python, each with its tasks; None for all."""
    if not plugins:
        return document
    from nemorun_cli.plugins import GivenPlugin  # noqa: PLC0415 - only where there are some

    return replace(document, plugins=tuple(GivenPlugin(plugin, tasks) for plugin, tasks in plugins))


def again(
    files: ExperimentFiles,
    *,
    params: Sequence[str] = (),
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    executors: ExecutorTypes | None = None,
) -> Document:
    """The spec of an experiment with the options that it was started with, and more over them.

    Nothing of the spec's own files is needed: the experiment's copies are read, those of scripts too.

    Args:
        files: the experiment.
        params: values of params, over those that it was given.
        sets: changes of fields, over those that it was given.
        only: the tasks to run, instead of those that were chosen.
        executors: as for `read`.

    Raises:
        SpecError: with all problems that the changes bring.
        LedgerError: the experiment's copies cannot be read.
    """
    from nemorun_cli.storage import spec_origin  # noqa: PLC0415 - not for a spec that is read from its file

    origin = spec_origin.read(files)
    text = files.spec.read_text(encoding="utf-8")
    source = SpecSource(text, file=str(files.spec), has_lines=origin.is_file)
    if origin.whole is not None:
        source = _written(origin.whole, file=str(files.spec))
    options = _Options(
        params=(*origin.params, *params),
        sets=(*(one for one in origin.sets if not one.startswith(_OF_THE_MOMENT)), *sets),
        only=tuple(only or origin.only),
        executors=executors or _unasked(),
    )
    document = _read(source, Path(origin.file), options, copies=files)
    return replace(
        document,
        text=text,
        is_file=origin.is_file,
        others=origin.others,
        whole=document.whole or origin.whole,
        shipped=files,
    )


def changed(
    files: ExperimentFiles,
    source: Path | str,
    *,
    params: Sequence[str] = (),
    sets: Sequence[str] = (),
    executors: ExecutorTypes | None = None,
) -> Document:
    """Another spec for an experiment, which keeps its name, with the options that it was started with.

    Of those, values of params that the spec does not have any more do not count.

    Args:
        files: the experiment.
        source: the spec's path.
        params: values of params, over those that it was given.
        sets: changes of fields, over those that it was given.
        executors: as for `read`.

    Raises:
        SpecError: with all problems of the spec.
        LedgerError: the experiment's copies cannot be read.
    """
    from nemorun_cli.storage import spec_origin  # noqa: PLC0415 - not for a spec that is read from its file

    origin = spec_origin.read(files)
    options = _Options(
        known=origin.params,
        params=tuple(params),
        sets=(*(one for one in origin.sets if not one.startswith(_OF_THE_MOMENT)), *sets),
        only=origin.only,
        executors=executors or _unasked(),
        name=files.directory.parent.name,
    )
    path = Path(source)
    document = _built(path, options) if _is_program(path) else _read(open_source(path), path, options)
    return replace(document, shipped=files)


# How the old one was started, rather than what it was.
_OF_THE_MOMENT = ("run.detach=", "run.tail_logs=", "run.direct=")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What a spec is read with."""

    params: tuple[str, ...]
    sets: tuple[str, ...]
    only: tuple[str, ...]
    executors: ExecutorTypes
    home: Home | None = None
    known: tuple[str, ...] = ()  # values of params, for those that are there
    name: str | None = None  # instead of the file's own, where the spec has none


def _read(
    text_source: SpecSource, path: Path, given: _Options, *, copies: ExperimentFiles | None = None
) -> Document:
    there = Path(os.path.abspath(path))  # noqa: PTH100 - keeps symbolic links
    folder = there.parent
    schemas, types = given.executors.options_schema, given.executors.names
    composition = composed(text_source, there, folder=folder, options_schema=schemas, types=types)
    places = ExecutorCatalog(
        composition,
        folder=folder,
        home=lambda: given.home or Home.from_environment(),
        options_schema=schemas,
        types=types,
    )
    changed = applied(places.address(composition.data, given.sets), given.sets)
    data = places.complete(changed.data)
    sources = Sources([*composition.layers, *places.layers])
    if places.problems:
        raise SpecError(sources.in_order((), places.problems))
    declared = data["params"] if isinstance(data.get("params"), dict) else {}
    document = Document(
        name=_name(data, given.name or path.stem),
        path=path,
        text=text_source.text,
        is_file=text_source.has_lines,
        sources=sources,
        others={one.source.file: one.source.text for one in sources.layers if one.source is not text_source},
        whole=_whole(composition, places, data),
        data=data,
        options=changed.options,
        origins={name: places.origin(name) for name in (LOCAL, *_entries(data))},
        brought=frozenset(places.brought),
        known=tuple(places.known),
        params=(*(one for one in given.known if one.partition("=")[0] in declared), *given.params),
        sets=given.sets,
        only=given.only,
        executors=given.executors,
        copies=copies,
    )
    resolution = Resolution(document, _tentative(document.name))
    spec = resolution.spec(changed.findings)
    return replace(document, run=spec.run, spec=None if resolution.uses_identity else spec)


def resolve(document: Document, identity: Identity) -> Spec:
    """The spec as one experiment runs it; raises SpecError. Another identity gives another spec."""
    return document.spec or Resolution(document, identity).spec()


def validate(
    source: Path | str | Mapping[str, Any], *, params: Sequence[str] = (), sets: Sequence[str] = ()
) -> Spec:
    """The spec as it would be resolved for some identity; raises SpecError."""
    document = read(source, params=params, sets=sets)
    return resolve(document, _tentative(document.name))


def _source(given: Path | str | Mapping[str, Any], *, file: str) -> tuple[SpecSource, Path]:
    if isinstance(given, (str, Path)):
        return open_source(Path(given)), Path(given)
    return _written(given, file=file), Path.cwd() / "spec.yaml"


def _written(given: Mapping[str, Any], *, file: str) -> SpecSource:
    """The text of a spec that is given as data; its lines mean nothing to anyone."""
    try:
        text = json.dumps(given, indent=2, ensure_ascii=False, allow_nan=False, default=_as_text)
    except (TypeError, ValueError) as fault:
        raise SpecError([Problem(message=f"contains a value YAML cannot represent: {fault}")]) from None
    text = _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return SpecSource(text + "\n", file=file, has_lines=False)


_UNPRINTABLE = re.compile("[\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")  # that JSON writes and YAML refuses


def _as_text(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a {type(value).__name__}")


def _whole(
    composition: Composition, places: ExecutorCatalog, data: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The data with all that other files give to it, for whoever has these files no more."""
    named = {name: _entries(data)[name] for name in (*places.extended, *places.brought)}
    if not named:
        return composition.data if composition.others else None
    return {**composition.data, "executors": {**_entries(composition.data), **named}}


def _entries(data: Mapping[str, Any]) -> Mapping[str, Any]:
    executors = data.get("executors")
    return executors if isinstance(executors, dict) else {}


def _name(data: Mapping[str, Any], other: str) -> str:
    """The spec's own name, or else the other one; what is wrong with either the schema tells."""
    name = data.get("name", other)
    return name if isinstance(name, str) else other


def _tentative(name: str) -> Identity:
    return Identity(id=f"{name}_0", name=name, directory=f"/nonexistent/{name}/{name}_0")


def _unasked() -> ExecutorTypes:
    from nemorun_cli import executors  # noqa: PLC0415 - seldom needed: commands bring theirs

    return executors.known(ask=False)
