"""Files of values: `--yaml FILE`, `--factory @FILE`, `model=@FILE:section`, and `--to-yaml FILE`."""

from __future__ import annotations

import json
import tomllib
from enum import Enum
from math import isfinite
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli import arguments
from nemorun_cli.errors import SpecError, UsageError
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo import calls
from nemorun_cli.nemo.cli import literals
from nemorun_cli.nemo.cli.assignments import WrittenValue, path_of
from nemorun_cli.nemo.cli.literals import Items, Name, Pairs, Scalar, Written
from nemorun_cli.spec.yaml import writer
from nemorun_cli.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.nemo.calls import MutableCall
    from nemorun_cli.nemo.cli.assignments import Step
    from nemorun_cli.nemo.cli.literals import Form

_HEADING: Final = ("_factory_", "_target_", "_partial_")
SUFFIXES: Final = (".yaml", ".yml", ".json", ".toml")


def is_named(value: Written) -> bool:
    """Whether a value names a file: `@model.yaml` or `@all.yaml:model`."""
    text = value.source.strip()
    return text.startswith("@") and _parted(text[1:])[0].lower().endswith(SUFFIXES)


def _parted(text: str) -> tuple[str, str]:
    path, _, section = text.rpartition(":")
    return (path, section) if path.lower().endswith(SUFFIXES) else (text, "")


def named(text: str, steps: tuple[Step, ...] = ()) -> list[WrittenValue]:
    """The values of a file, or of a section of it, as arguments below a place.

    Raises:
        UsageError: the file cannot be read, or is no mapping.
    """
    path, section = _parted(text.strip().removeprefix("@"))
    data = _data(Path(path))
    name = section or (str(steps[-1]) if steps else "")
    if section and section not in data:
        raise UsageError(f"{path} has no section {section!r}", hint=choices(section, map(str, data)))
    is_nested = len(data) == 1 and isinstance(data.get(name), dict)
    content = data[name] if section or (steps and is_nested) else data
    return list(_flat(content, steps, path))


def _data(path: Path) -> dict[str, Any]:
    try:
        content = files.read_bytes(path).decode()
        data = _decoded(content, path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:  # of a decoder, as UnicodeDecodeError is
        raise UsageError(f"{path}: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path} is no mapping of values", hint="write name: value")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; raises ValueError for a key that it has twice, of which one would be lost."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return made


def _decoded(content: str, path: Path) -> Any:
    if path.suffix.lower() == ".toml":
        return tomllib.loads(content)
    if path.suffix.lower() == ".json":
        return json.loads(content, object_pairs_hook=_unique)
    from nemorun_cli.spec.yaml import parser, source  # noqa: PLC0415 - slow to import, and often not needed

    try:
        return parser.parse(source.SpecSource(content, file=str(path)))
    except SpecError as error:
        raise UsageError(str(error.problems[0])) from None


def _flat(data: Any, steps: tuple[Step, ...], file: str) -> Iterator[WrittenValue]:
    """The values of a mapping, one by one, and before them what `_factory_` or `_target_` names."""
    if not isinstance(data, dict) or not data:
        yield _assignment(steps, _written(data), file)
        return
    if "_factory_" in data and steps:
        yield _assignment(steps, literals.read(str(data["_factory_"])), file)
    elif "_target_" in data and steps:
        yield _assignment(steps, _target(data, steps, file), file)
    for key, value in data.items():
        if key not in _HEADING and (*steps, key) != ("run", "factory"):
            yield from _flat(value, (*steps, key), file)


def _target(data: dict[str, Any], steps: tuple[Step, ...], file: str) -> Written:
    if data.get("_partial_"):
        raise UsageError(f"{file}: {path_of(steps)}: only a factory can make a Partial", hint="use _factory_")
    name = str(data["_target_"]).replace(":", ".")
    return Written(name, Name(name))


def _assignment(steps: tuple[Step, ...], value: Written, file: str) -> WrittenValue:
    return WrittenValue(argument=f"{file}: {path_of(steps)}", steps=steps, operator="=", value=value)


class Heading(NamedTuple):
    """What a file names for the whole: a factory to begin with, and the function that it is for."""

    factory: str | None
    target: str | None


def heading(text: str) -> Heading:
    """The heading of a file: `_factory_`, also as `factory` in its section `run`, and `_target_`."""
    data = _data(Path(_parted(text.removeprefix("@"))[0]))
    run = data.get("run")
    factory = data.get("_factory_", run.get("factory") if isinstance(run, dict) else None)
    target = data.get("_target_")
    return Heading(
        None if factory is None else str(factory),
        None if target is None else str(target).replace(":", "."),
    )


def _written(value: Any) -> Written:
    """A value of a file in the form of a written one."""
    if isinstance(value, list):
        form: Form = Items(list, tuple(_written(item) for item in value))
    elif isinstance(value, dict):
        form = Pairs(tuple((_written(key), _written(item)) for key, item in value.items()))
    else:  # the numbers of YAML are derived from those of Python
        kinds = (kind for kind in (bool, int, float) if isinstance(value, kind))
        form = Scalar(next((kind(value) for kind in kinds), value))
    source = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return Written(source, form, is_typed=True)


def export(call: MutableCall[Any], *, to_yaml: str | None, to_json: str | None) -> None:
    """Write the values of a call, with the defaults that were resolved, to files.

    Raises:
        UsageError: a value has no form in a file, or a file cannot be written.
    """
    content = _content(call, "")
    if to_yaml:
        _write(to_yaml, writer.document(content))
    if to_json:
        _write(to_json, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write(path: str, text: str) -> None:
    try:
        files.write(path, text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _content(value: Any, place: str) -> Any:
    """A value as it is written in a file, from which the same command line reads it."""
    if isinstance(value, calls.Partial) and place:
        raise UsageError(f"{place}: a file cannot hold a Partial", hint="a factory makes it: _factory_")
    if isinstance(value, calls.MutableCall):
        own = {"_target_": arguments.name_of(value.__fn_or_cls__)}
        resolved = calls.resolved(value).items()
        return own | {name: _content(item, f"{place}.{name}".lstrip(".")) for name, item in resolved}
    if isinstance(value, (list, tuple)):
        return [_content(item, f"{place}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _content(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, PurePath):
        return str(value)
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and isfinite(value)):
        return value
    raise UsageError(f"{place}: a file cannot hold {value!r}")
