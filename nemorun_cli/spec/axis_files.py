"""Axes from files: of `configs: {file: configs.csv}`, each column is an axis and each row a combination."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import FilePosition, Finding
from nemorun_cli.spec.expressions.syntax import OPENING
from nemorun_cli.spec.schema import checks
from nemorun_cli.spec.tasks import matrix
from nemorun_cli.spec.tasks.expand import file_axes
from nemorun_cli.spec.yaml.scalars import scalar
from nemorun_cli.spec.yaml.source import open_source
from nemorun_cli.system import owners
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.yaml.source import SpecSource


class _AxisFileError(Exception):
    """A file of axes cannot be used."""

    def __init__(self, message: str, hint: str | None = None, position: FilePosition | None = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.position = message, hint, position


def with_values(data: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], list[Finding]]:
    """Return a spec in which the axes of files are lists of values, and the errors.

    Args:
        data: the spec; the paths of files in it are literal.
        folder: the folder that they are relative to.
    """
    tasks = dict(data["tasks"])
    findings: list[Finding] = []
    for name, axis, given in file_axes(data):
        task = tasks[name]
        place: Place = ("tasks", name, "matrix", axis, "file")
        try:
            section = _with_columns(task["matrix"], axis, _columns(given, folder))
        except _AxisFileError as fault:
            findings.append(
                Finding(place=place, message=fault.message, hint=fault.hint, position=fault.position)
            )
            continue
        tasks[name] = {**task, "matrix": section}
    return {**data, "tasks": tasks}, findings


def _with_columns(section: Mapping[str, Any], axis: str, columns: Mapping[str, list[Any]]) -> dict[str, Any]:
    """The matrix with the columns in place of the axis; several advance together."""
    axes: dict[str, Any] = {}
    for key, value in section.items():
        if key != axis:
            axes[key] = value
            continue
        for column, values in columns.items():
            if column in section and column != axis:
                raise _AxisFileError(f"has the column {column!r}, and the matrix has that axis already")
            axes[column] = values
    if len(columns) > 1:
        zips = axes.get("zip", [])
        zips = [zips] if zips and not isinstance(zips[0], list) else zips
        axes["zip"] = [*zips, list(columns)]
    return axes


def _columns(given: str, folder: Path) -> dict[str, list[Any]]:
    if OPENING in given:
        message = "is read before expressions are filled in"
        raise _AxisFileError(message, "write the path of the file without expressions")
    path = folder / expanded(given)
    source = _source(path)
    columns: dict[str, list[Any]] = {}
    first_lines: dict[tuple[str, ...], int] = {}
    reader = csv.reader(io.StringIO(source.text, newline=""), strict=True)
    try:
        for row in reader:
            position = _position(source, reader.line_num)
            if not any(cell.strip() for cell in row):
                continue
            if not columns:
                columns = {name: [] for name in _header(row, position)}
                continue
            _add(columns, [cell.strip() for cell in row], position)
            earlier = first_lines.setdefault(tuple(row), reader.line_num)
            if earlier != reader.line_num:
                raise _AxisFileError(f"repeats the row of line {earlier}", None, position)
    except csv.Error as fault:
        raise _AxisFileError(f"is not CSV: {fault}", None, _position(source, reader.line_num)) from None
    if not columns or not first_lines:
        raise _AxisFileError(
            f"{path} has no rows", "its first line names the axes, and each other line is a combination"
        )
    return columns


def _source(path: Path) -> SpecSource:
    """The text of a file that no other user can change: values are part of commands."""
    try:
        distrust = owners.distrust(path)
        if distrust is not None:
            raise _AxisFileError(distrust.message, distrust.remedy)
        return open_source(path)
    except OSError as fault:
        raise _AxisFileError(f"{path} cannot be read: {fault.strerror}") from None
    except SpecError as fault:
        problem = fault.problems[0]
        raise _AxisFileError(f"{path} {problem.message}") from None


def _header(row: list[str], position: FilePosition) -> list[str]:
    """The names of the columns; a file without such names is some other file, whose content is not shown."""
    names = [cell.strip() for cell in row]
    hint = "the first line names the columns, such as lr,seed"
    if not all(map(checks.is_axis, names)):
        raise _AxisFileError("has a first line that does not name axes", hint, position)
    for name in names:
        if name in matrix.SETTINGS:
            raise _AxisFileError(f"has the column {name!r}, which is no name of an axis", hint, position)
        if names.count(name) > 1:
            raise _AxisFileError(f"has the column {name!r} twice", hint, position)
    return names


def _add(columns: Mapping[str, list[Any]], row: list[str], position: FilePosition) -> None:
    if len(row) != len(columns):
        message = f"has a line with {len(row)} of {len(columns)} columns"
        raise _AxisFileError(message, "put a value that contains a comma in quotes", position)
    for (name, values), cell in zip(columns.items(), row, strict=True):
        try:
            value = scalar(cell)
        except ValueError as fault:
            message = f"has a value of {name!r} that cannot be used: {fault}"
            raise _AxisFileError(message, None, position) from None
        if value is None:
            raise _AxisFileError(f"has no value of {name!r} in a line", None, position)
        values.append(value)


def _position(source: SpecSource, line: int) -> FilePosition:
    return FilePosition(file=source.file, line=max(line, 1), column=1)
