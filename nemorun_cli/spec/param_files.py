"""`-p @FILE`: values of params from a YAML, JSON or TOML file, each with its line for problems."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import FilePosition, Finding, Problem
from nemorun_cli.spec.yaml.parser import parse
from nemorun_cli.spec.yaml.scalars import scalar
from nemorun_cli.spec.yaml.source import SpecSource, open_source
from nemorun_cli.spec.yaml.writer import flow
from nemorun_cli.system import owners

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK: Final = "@"  # in front of the file's path
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)  # as in the schema of specs
_TOML_PLACE: Final = re.compile(r" \(at line (\d+), column (\d+)\)| \(at end of document\)")


def expanded(params: Sequence[str]) -> tuple[tuple[str, ...], dict[str, FilePosition]]:
    """The values of `-p` with those of files in the place of the files, and the positions of the latter.

    Args:
        params: each `name=value` or `@path`; a later value of a name replaces an earlier one.

    Raises:
        SpecError: with the problems of all files that cannot be used.
    """
    texts: list[str] = []
    positions: dict[str, FilePosition] = {}
    problems: list[Problem] = []
    for param in params:
        if not param.startswith(MARK):
            texts.append(param)
            positions.pop(param, None)
            continue
        try:
            for text, position in _values(Path(param.removeprefix(MARK)).expanduser()):
                texts.append(text)
                positions[text] = position
        except SpecError as fault:
            problems += fault.problems
    if problems:
        raise SpecError(problems)
    return tuple(texts), positions


def _values(path: Path) -> list[tuple[str, FilePosition]]:
    """Each value of a file as a text `name=value`, with its position."""
    _require_trusted(path)
    source = open_source(path, may_wait=True)
    if path.is_symlink():
        source.shows = frozenset()  # a repository may contain a link to any file
    data = _READERS.get(path.suffix.lower(), parse)(source)
    if data is None and not source.text.strip():
        return []
    if not isinstance(data, dict):
        raise _refusal(source, "must be a mapping of params to values")
    if not all(map(_NAME.fullmatch, data)):  # some other file, whose content is not shown
        raise _refusal(source, "has keys that no param can have")
    return [(f"{name}={_text(source, name, value)}", _position(source, name)) for name, value in data.items()]


def _require_trusted(path: Path) -> None:
    """Refuse a file that another user, or everybody, may change: params are part of commands."""
    try:
        distrust = owners.distrust(path)
    except OSError:
        return  # its opening reports the reason
    if distrust is not None:
        raise SpecError([Problem(file=str(path), message=distrust.message, hint=distrust.remedy)])


def _text(source: SpecSource, name: str, value: Any) -> str:
    try:
        return flow(value)
    except TypeError:
        message = "has a date or a time, which no param is"
        finding = Finding(
            place=(name,), message=message, hint="put it in quotes", position=_position(source, name)
        )
        raise SpecError([source.problem(finding)]) from None


def _json(source: SpecSource) -> Any:
    try:
        return json.loads(
            source.text,
            parse_int=scalar,
            parse_float=scalar,
            object_pairs_hook=lambda pairs: _without_duplicates(source, pairs),
        )
    except json.JSONDecodeError as fault:
        raise _refusal(source, f"is not JSON: {fault.msg}", fault.lineno - 1, fault.colno - 1) from None
    except (ValueError, RecursionError) as fault:
        raise _refusal(source, f"is not JSON: {fault}") from None


def _without_duplicates(source: SpecSource, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise _refusal(source, f"has the key {name!r} twice")
        values[name] = value
    return values


def _toml(source: SpecSource) -> Any:
    import tomllib  # noqa: PLC0415 - few params are in TOML

    try:
        return tomllib.loads(source.text, parse_float=_toml_float)
    except tomllib.TOMLDecodeError as fault:
        place = _TOML_PLACE.search(str(fault))
        line, column = (int(place[1]) - 1, int(place[2]) - 1) if place and place[1] else (0, 0)
        raise _refusal(source, f"is not TOML: {_TOML_PLACE.sub('', str(fault))}", line, column) from None
    except RecursionError:
        raise _refusal(source, "is not TOML: it is nested too deeply") from None


def _toml_float(text: str) -> float:
    """A number of TOML, in its written form where YAML has the same one."""
    plain = text.replace("_", "")
    value = scalar(plain)
    return value if isinstance(value, float) else float(plain)


_READERS: Final = {".json": _json, ".toml": _toml}


def _refusal(source: SpecSource, message: str, line: int = 0, column: int = 0) -> SpecError:
    return SpecError([source.problem_at(line, column, Finding(place=(), message=message))])


def _position(source: SpecSource, name: str) -> FilePosition:
    """Where a file sets a param."""
    finding = Finding(place=(name,), message="", on_key=True)
    match = re.search(rf"^(\s*\[?\s*)[\"']?{re.escape(name)}[\"']?\s*[=\].]", source.text, re.MULTILINE)
    if source.file.lower().endswith(".toml"):
        before = source.text[: match.end(1)] if match else ""
        problem = source.problem_at(before.count("\n"), len(before) - before.rfind("\n") - 1, finding)
    else:
        try:
            problem = source.problem(finding)
        except yaml.YAMLError:  # JSON has escapes that YAML has not
            problem = finding.problem(file=source.file)
    return FilePosition(file=problem.file, line=problem.line, column=problem.column, text=problem.text)
