"""Loads specs: from YAML to a `Document`, and from a `Document` to a resolved `Spec`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import LedgerError, SpecError, UsageError
from nemorun_cli.model.problems import Finding, Problem
from nemorun_cli.model.spec import Identity, Spec
from nemorun_cli.spec import shell_syntax
from nemorun_cli.spec.compose.composition import Sources, composed
from nemorun_cli.spec.compose.executor_files import LOCAL, ExecutorCatalog
from nemorun_cli.spec.compose.named_files import open_given
from nemorun_cli.spec.compose.overrides import applied
from nemorun_cli.spec.document import Document
from nemorun_cli.spec.pipeline import Resolution
from nemorun_cli.spec.tasks.expand import file_axes
from nemorun_cli.spec.yaml.source import SpecSource
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.executors.executor_types import ExecutorTypes
    from nemorun_cli.model.problems import FilePosition
    from nemorun_cli.spec.compose.composition import Composition
    from nemorun_cli.spec.python_specs import BuiltSpec
    from nemorun_cli.storage.paths import ExperimentFiles


def read(
    source: Path | str | Mapping[str, Any],
    *,
    arguments: Sequence[str] = (),
    params: Sequence[str] = (),
    sets: Sequence[str] = (),
    sweeps: Sequence[str] = (),
    only: Sequence[str] = (),
    executors: ExecutorTypes | None = None,
    home: Home | None = None,
    path: Path | None = None,
    made_at: Mapping[tuple[str, ...], int] | None = None,
    copies: ExperimentFiles | None = None,
    for_later: bool = False,
) -> Document:
    """Read and check a spec.

    Args:
        source: a path, or the spec as data, in which paths are relative to the working folder.
        arguments: those of a program, its `sys.argv[1:]`; only what it builds with them is kept.
        params: values of params, each `name=value`, or `@path` for a file of them.
        sets: changes of fields, each `path.to.key=value`.
        sweeps: params that become axes of the tasks that use them, each `name=values`.
        only: the tasks, groups or members to run; empty for all.
        executors: the known types; by default all, without asking an engine whether requests are satisfiable.
        home: the home with the user's executors; by default the one from the environment.
        path: used as the path of a spec that is passed as data.
        made_at: for a spec that a program passes as data, the program's lines that made its values.
        copies: an experiment whose copies of scripts are used.
        for_later: whether to leave out changes that are only for one start, as `rerun` does.

    Raises:
        SpecError: with all problems of the spec.
        UsageError: a program fails, or arguments are given for a spec that is not a program.
    """
    options = _Options(
        params=tuple(params),
        sweeps=tuple(sweeps),
        sets=_kept(sets) if for_later else tuple(sets),
        only=tuple(only),
        executors=executors or _offline_types(),
        home=home,
        for_later=for_later,
    )
    if isinstance(source, (str, Path)) and _is_program(Path(source)):
        return _read_program(Path(source), arguments, options)
    _refuse_arguments(source, arguments)
    if isinstance(source, (str, Path)):
        text_source, source_path = open_given(Path(source)), Path(source)
    else:
        file = "spec" if path is None else str(path)
        text_source, source_path = (
            _source_of_data(source, file=file, made_at=made_at),
            Path.cwd() / "spec.yaml",
        )
    return _read(text_source, path or source_path, options, copies=copies)


def _is_program(path: Path) -> bool:
    return path.suffix == ".py" and path.is_file()


def _refuse_arguments(source: Path | str | Mapping[str, Any], arguments: Sequence[str]) -> None:
    """Refuse arguments for a spec that is not a program; a missing program is reported as missing."""
    name = str(source) if isinstance(source, (str, Path)) else "the spec"
    if not arguments or name.endswith(".py"):
        return
    raise UsageError(
        f"{name} takes no arguments: it is not a Python program",
        hint="set its params with -p NAME=VALUE, or its fields with --set PATH.TO.KEY=VALUE",
    )


def _read_program(program: Path, arguments: Sequence[str], options: _Options) -> Document:
    """Read what a Python program builds; options of the command override those of the program."""
    from nemorun_cli.spec import python_specs  # noqa: PLC0415 - only for programs

    built, program_sets = python_specs.run(program, arguments)
    own = _kept(program_sets) if options.for_later else program_sets
    merged = replace(options, sets=(*own, *options.sets))
    source = _source_of_data(built.spec, file=str(program), made_at=built.lines)
    document = _read(source, built.path, merged)
    return with_built(document, built)


def with_built(document: Document, built: BuiltSpec) -> Document:
    """Return the document with what a program gives in addition to the spec: plugin objects, an id and a key.

    Raises:
        SpecError: objects that have no hook.
    """
    named = replace(document, wanted_id=built.wanted_id, key=built.key)
    return with_plugins(named, built.plugins)


def with_plugins(document: Document, plugins: Sequence[tuple[object, tuple[str, ...] | None]]) -> Document:
    """Return the document with plugin objects added, each with its tasks; None for all tasks.

    Raises:
        SpecError: objects that have no hook.
    """
    if not plugins:
        return document
    from nemorun_cli.plugins import GivenPlugin, hook_problem  # noqa: PLC0415 - only with plugins

    findings = []
    for plugin, tasks in plugins:
        if not isinstance(plugin, Mapping) and (wrong := hook_problem(plugin)) is not None:
            place = ("plugins",) if tasks is None else ("tasks", *tasks, "plugins")
            name = plugin.__name__ if isinstance(plugin, type) else type(plugin).__name__
            findings.append(Finding(place=place, message=f"{name} {wrong[0]}", hint=wrong[1]))
    if findings:
        raise SpecError(document.sources.in_order(findings))
    return replace(document, plugins=tuple(GivenPlugin(plugin, tasks) for plugin, tasks in plugins))


def again(
    files: ExperimentFiles,
    *,
    params: Sequence[str] = (),
    sets: Sequence[str] = (),
    sweeps: Sequence[str] = (),
    only: Sequence[str] = (),
    executors: ExecutorTypes | None = None,
    for_later: bool = False,
) -> Document:
    """Read the spec of an experiment with its original options, overridden by more.

    Reads only the experiment's copies, also of scripts; the files of the spec need not exist.

    Args:
        files: the experiment.
        params: values of params, which override the original ones, also those of a sweep.
        sets: changes of fields, which override the original ones.
        sweeps: params that become axes, which override the original values and sweeps of these params.
        only: the tasks to run, in place of the original selection.
        executors: as for `read`.
        for_later: as for `read`.

    Raises:
        SpecError: with all problems that the changes cause.
        LedgerError: the experiment's copies cannot be read, or another user may change them.
    """
    from nemorun_cli.storage import spec_origin  # noqa: PLC0415 - not for a spec read from its own file

    files.require_trusted_programs()
    origin = spec_origin.read(files)
    try:
        text = files.read(files.spec, limit=spec_origin.LARGEST_SPEC).decode("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LedgerError(f"cannot read {files.spec}: {reason}") from error
    source = SpecSource(text, file=str(files.spec), has_lines=origin.is_file)
    if origin.whole_text is not None:
        source = SpecSource(origin.whole_text, file=str(files.spec), has_lines=False)
    elif origin.whole is not None:
        source = _source_of_data(origin.whole, file=str(files.spec))
    options = _Options(
        params=(*_without(origin.params, sweeps), *params),
        sweeps=(*_without(origin.sweeps, [*_with_files(tuple(params))[0], *sweeps]), *sweeps),
        sets=(*_kept(origin.sets), *(_kept(sets) if for_later else sets)),
        only=tuple(only or origin.only),
        executors=executors or _offline_types(),
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
    arguments: Sequence[str] = (),
    params: Sequence[str] = (),
    sets: Sequence[str] = (),
    executors: ExecutorTypes | None = None,
) -> Document:
    """Read another spec for an experiment, which keeps its name and its original options.

    Ignores original values of params that the new spec does not declare.

    Args:
        files: the experiment.
        source: the spec's path.
        arguments: as for `read`.
        params: values of params, which override the original ones.
        sets: changes of fields, which override the original ones.
        executors: as for `read`.

    Raises:
        SpecError: with all problems of the spec.
        LedgerError: the experiment's copies cannot be read, or another user may change them.
    """
    from nemorun_cli.storage import spec_origin  # noqa: PLC0415 - not for a spec read from its own file

    files.require_trusted_programs()
    origin = spec_origin.read(files)
    options = _Options(
        known=origin.params,
        sweeps=origin.sweeps,
        params=tuple(params),
        sets=(*_kept(origin.sets), *sets),
        only=origin.only,
        executors=executors or _offline_types(),
        name=files.directory.parent.name,
    )
    path = Path(source)
    if _is_program(path):
        return replace(_read_program(path, arguments, options), shipped=files)
    _refuse_arguments(path, arguments)
    return replace(_read(open_given(path), path, options), shipped=files)


def _without(options: Iterable[str], newer: Iterable[str]) -> tuple[str, ...]:
    """Those of `name=value` that newer options do not replace."""
    names = {option.partition("=")[0] for option in newer}
    return tuple(option for option in options if option.partition("=")[0] not in names)


# Options for one start of the experiment, which a later start does not repeat.
_NOT_KEPT = ("run.detach=", "run.tail_logs=", "run.direct=")


def _kept(sets: Iterable[str]) -> tuple[str, ...]:
    """The changes that a later start repeats."""
    return tuple(option for option in sets if not option.startswith(_NOT_KEPT))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """The options that a spec is read with."""

    params: tuple[str, ...]
    sets: tuple[str, ...]
    only: tuple[str, ...]
    executors: ExecutorTypes
    sweeps: tuple[str, ...] = ()
    home: Home | None = None
    for_later: bool = False
    known: tuple[str, ...] = ()  # values of params; undeclared ones are ignored
    name: str | None = None  # used instead of the file's name if the spec has no name


def _read(
    text_source: SpecSource, path: Path, options: _Options, *, copies: ExperimentFiles | None = None
) -> Document:
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - keeps symbolic links
    given, positions = _with_files(options.params)
    schemas, types = options.executors.options_schema, options.executors.names
    composition = composed(text_source, absolute, options_schema=schemas, types=types)
    folder = composition.folder
    catalog = ExecutorCatalog(
        composition,
        folder=folder,
        home=lambda: options.home or Home.from_environment(),
        options_schema=schemas,
        types=types,
    )
    changed = applied(catalog.address(composition.data, options.sets), options.sets)
    data = catalog.complete(changed.data)
    whole = _merged_data(composition, catalog, data)
    findings, set_by = list(changed.findings), dict(changed.options)
    if any(True for _ in file_axes(data)):
        from nemorun_cli.spec import axis_files  # noqa: PLC0415 - few specs have axes in files

        data, faults = axis_files.with_values(data, folder)
        findings += faults
        whole = axis_files.with_values(whole or composition.data, folder)[0]
    if options.sweeps:
        from nemorun_cli.spec import swept_params  # noqa: PLC0415 - only with --sweep

        swept = swept_params.applied(data, options.sweeps, given)
        data = swept.data
        if swept.findings:  # without the axes, the rest of the spec has other problems
            raise SpecError(Sources(composition.layers).in_order(swept.findings))
        set_by |= swept.options
    sources = Sources([*composition.layers, *catalog.layers])
    if catalog.problems:
        raise SpecError(sources.in_order((), catalog.problems))
    declared = data["params"] if isinstance(data.get("params"), dict) else {}
    document = Document(
        name=_name(data, options.name or path.stem),
        path=path,
        folder=folder,
        text=text_source.text,
        is_file=text_source.has_lines,
        sources=sources,
        others={
            layer.source.file: layer.source.text
            for layer in sources.layers
            if layer.source is not text_source
        },
        whole=whole,
        data=data,
        options=set_by,
        origins={name: catalog.origin(name) for name in (LOCAL, *_entries(data))},
        brought=frozenset(catalog.brought),
        known=tuple(catalog.known),
        params=(*(param for param in options.known if param.partition("=")[0] in declared), *given),
        param_positions=positions,
        sets=options.sets,
        sweeps=options.sweeps,
        only=options.only,
        executors=options.executors,
        copies=copies,
    )
    resolution = Resolution(document, _placeholder_identity(document.name))
    spec = resolution.spec(findings)
    return replace(
        document,
        run=spec.run,
        spec=None if resolution.uses_identity else spec,
        warnings=tuple(_warnings(document, folder)),
    )


def _with_files(params: tuple[str, ...]) -> tuple[tuple[str, ...], Mapping[str, FilePosition]]:
    if not any(param.startswith("@") for param in params):
        return params, {}
    from nemorun_cli.spec import param_files  # noqa: PLC0415 - only with -p @FILE

    return param_files.expanded(params)


def _warnings(document: Document, folder: Path) -> list[Problem]:
    findings = shell_syntax.warnings(document.data, folder)
    return document.sources.in_order([document.attributed(finding) for finding in findings])


def resolve(document: Document, identity: Identity) -> Spec:
    """Return the spec as the experiment with this identity runs it; raise SpecError if it is invalid."""
    return document.spec or Resolution(document, identity).spec()


def validate(
    source: Path | str | Mapping[str, Any], *, params: Sequence[str] = (), sets: Sequence[str] = ()
) -> Spec:
    """Return the spec as resolved for a placeholder identity; raise SpecError if it is invalid."""
    document = read(source, params=params, sets=sets)
    return resolve(document, _placeholder_identity(document.name))


def _source_of_data(
    data: Mapping[str, Any], *, file: str, made_at: Mapping[tuple[str, ...], int] | None = None
) -> SpecSource:
    """Return the source of a spec passed as data, whose only meaningful lines are those in `made_at`."""
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=_as_text)
    except (TypeError, ValueError) as fault:
        raise SpecError([Problem(message=f"contains a value YAML cannot represent: {fault}")]) from None
    text = _UNPRINTABLE.sub(lambda char: f"\\u{ord(char[0]):04x}", text)
    return SpecSource(text + "\n", file=file, has_lines=False, made_at=made_at or {})


# Allowed in JSON, but not in YAML.
_UNPRINTABLE = re.compile("[\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


def _as_text(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a {type(value).__name__}")


def _merged_data(
    composition: Composition, catalog: ExecutorCatalog, data: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the data merged with that of other files, which may be deleted later; None without any."""
    external = {name: _entries(data)[name] for name in (*catalog.extended, *catalog.brought)}
    if not external:
        return composition.data if composition.others else None
    return {**composition.data, "executors": {**_entries(composition.data), **external}}


def _entries(data: Mapping[str, Any]) -> Mapping[str, Any]:
    executors = data.get("executors")
    return executors if isinstance(executors, dict) else {}


def _name(data: Mapping[str, Any], default: str) -> str:
    """Return the name of the spec, or else that of its title, or `default`; the schema checks it."""
    title = data.get("title")
    if isinstance(title, str) and "name" not in data:
        from nemorun_cli.model import titles  # noqa: PLC0415 - only for specs with a title

        return titles.name_of(title)
    name = data.get("name", default)
    return name if isinstance(name, str) else default


def _placeholder_identity(name: str) -> Identity:
    return Identity(id=f"{name}_0", name=name, directory=f"/nonexistent/{name}/{name}_0")


def _offline_types() -> ExecutorTypes:
    from nemorun_cli import executors  # noqa: PLC0415 - seldom needed: commands pass theirs

    return executors.known(ask=False)
