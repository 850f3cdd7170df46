"""Reads the text of a spec and finds the line and column of each value in it.

Positions are computed only for a problem: the text is then parsed again to a tree of nodes.
"""

from __future__ import annotations

import linecache
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import Finding, Problem
from nemorun_cli.system.files import open_to_read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nemorun_cli.model.problems import Place

MAX_BYTES = 32_000_000  # of a spec; ten thousand tasks need about two million

_Entry = tuple[Node, Node]  # a key and its value

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SpecSource:
    """The text of a spec and its displayed name; finds the position of a value in the text.

    `has_lines` is False if the text was generated from values, so that its lines mean nothing to a user;
    `made_at` then has lines of the program in `file` that made the values, by their places.
    `shows` has the outermost keys whose lines problems may show; None for all lines.
    """

    def __init__(
        self,
        text: str,
        *,
        file: str,
        has_lines: bool = True,
        made_at: Mapping[tuple[str, ...], int] = MappingProxyType({}),
    ) -> None:
        self.text = text
        self.file = file
        self.has_lines = has_lines
        self._made_at = made_at
        self.shows: frozenset[str] | None = None
        self._lines: list[str] | None = None
        self._root: Node | None = None
        self._entries: dict[int, dict[str, _Entry]] = {}  # of each mapping of `_root`, by its id

    def problem(self, finding: Finding, *, at: Place | None = None) -> Problem:
        """Return the finding with its line and column; those of the nearest parent if the value is missing.

        `at` is the place in this text, if it differs from the displayed place.
        """
        if (other := finding.position) is not None:
            return finding.problem(file=other.file, line=other.line, column=other.column, text=other.text)
        if finding.option is not None:
            return finding.problem(file=finding.option)
        if not self.has_lines:
            return self._problem_in_program(finding)
        line, column = self._position(finding if at is None else replace(finding, place=at))
        return self.problem_at(line, column, finding)

    def problem_at(self, line: int, column: int, finding: Finding) -> Problem:
        """Return the finding at a line and a column, both counted from 0."""
        if not self.has_lines:
            return finding.problem(file=self.file)
        if self._lines is None:
            self._lines = self.text.splitlines()
        text = self._lines[line] if line < len(self._lines) else ""
        may_show = self.shows is None or (bool(finding.place) and finding.place[0] in self.shows)
        return finding.problem(
            file=self.file, line=line + 1, column=column + 1, text=text if may_show else None
        )

    def _problem_in_program(self, finding: Finding) -> Problem:
        """Return the finding with the line of the program that made the value, or its nearest parent."""
        place = tuple(str(step) for step in finding.place)
        depth = next((depth for depth in range(len(place), -1, -1) if place[:depth] in self._made_at), None)
        if depth is None:
            return finding.problem(file=self.file)
        line = self._made_at[place[:depth]]
        text = linecache.getline(self.file, line).rstrip("\n")
        column = len(text) - len(text.lstrip()) + 1
        return finding.problem(file=self.file, line=line, column=column if text else None, text=text or None)

    def _position(self, finding: Finding) -> tuple[int, int]:
        if self._root is None:
            self._root = yaml.compose(self.text, Loader=_Loader)
        if self._root is None:
            return 0, 0
        key, node = self._walk(self._root, finding.place)
        mark = (key if key is not None and finding.on_key else node).start_mark
        if finding.needle is not None:
            index = self.text.find(finding.needle, mark.index, node.end_mark.index)
            if index >= 0:
                before = self.text[mark.index : index]
                breaks = before.count("\n")
                column = len(before) - before.rfind("\n") - 1 if breaks else mark.column + len(before)
                return mark.line + breaks, column
        return mark.line, mark.column

    def _walk(self, root: Node, place: Place) -> tuple[Node | None, Node]:
        """Return the nodes of key and value at a place, or at its nearest existing parent."""
        key: Node | None = None
        node = root
        for step in place:
            entry: tuple[Node | None, Node] | None = None
            if isinstance(node, MappingNode):
                entry = self._entries_of(node).get(str(step))
            elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
                entry = (None, node.value[step])
            if entry is None:
                break
            key, node = entry
        return key, node

    def _entries_of(self, node: MappingNode) -> dict[str, _Entry]:
        """Return the entries of a mapping and of those that it merges, which its own precede."""
        if id(node) not in self._entries:
            own: dict[str, _Entry] = {}
            self._entries[id(node)] = own
            merged: dict[str, _Entry] = {}
            for key, value in node.value:
                if not isinstance(key, ScalarNode):
                    continue
                own.setdefault(key.value, (key, value))
                if key.value == "<<":
                    for other in value.value if isinstance(value, SequenceNode) else [value]:
                        if isinstance(other, MappingNode):
                            merged = {**self._entries_of(other), **merged}
            self._entries[id(node)] = {**merged, **own}
        return self._entries[id(node)]


def open_source(path: Path, *, file: str | None = None, may_wait: bool = False) -> SpecSource:
    """Read a spec file.

    Args:
        path: the file.
        file: its displayed name.
        may_wait: whether it may be a pipe, whose writer is waited for; else only a regular file is read.

    Raises:
        SpecError: it is unreadable, too large or not UTF-8.
    """
    file = file or str(path)

    def refuse(message: str, hint: str | None = None) -> SpecError:
        return SpecError([Problem(file=file, message=message, hint=hint)])

    try:
        with path.open("rb") if may_wait else open_to_read(path) as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise refuse("does not exist") from None
    except (OSError, ValueError) as fault:
        if path.is_dir():
            raise refuse("is a directory, not a spec", "give the path of the YAML file in it") from None
        reason = fault.strerror if isinstance(fault, OSError) else str(fault)
        raise refuse(f"cannot be read: {reason}") from fault
    if len(content) > MAX_BYTES:
        raise refuse(f"is larger than {MAX_BYTES:,} bytes")
    try:
        return SpecSource(content.decode("utf-8-sig"), file=file)
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise refuse(f"is not UTF-8 text: byte {fault.start + 1}, in line {line}") from None
