"""Opens the files that a spec names; no problem shows the lines of one that is not a spec itself.

A spec from elsewhere may name any file that its reader can read, and problems are shown in logs of CI.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import Problem
from nemorun_cli.spec.schema import walk
from nemorun_cli.spec.yaml.parser import parse
from nemorun_cli.spec.yaml.source import SpecSource, open_source

if TYPE_CHECKING:
    from pathlib import Path

NOT_YAML: Final = "is not YAML"

# Compiled when they are needed, as most specs name no other.
_SKIPPED: Final = r"\s*(#|$)|---|\.\.\.|%"  # lines without a key
_KEY: Final = r"(?P<indent> *)(?P<quote>[\"']?)(?P<key>[^\s\"'#:{}\[\],]+)(?P=quote)\s*:(\s|$)"


def open_given(path: Path) -> SpecSource:
    """Read the spec that the user names, which may also be a pipe.

    A repository may contain a link to any file: behind a link there has to be a spec.

    Raises:
        SpecError: it cannot be read or decoded, or is a link to something that is not a spec.
    """
    source = open_source(path, may_wait=True)
    return checked(source) if path.is_symlink() and path.is_file() else source


def checked(source: SpecSource) -> SpecSource:
    """The source, of which problems show only lines that belong to keys of a spec.

    Raises:
        SpecError: it is not a spec.
    """
    keys = _top_keys(source)
    if keys is None:
        return source
    known = frozenset(walk.keys_at(())[0])
    unknown = sum(key not in known for key in keys)
    if len(keys) - unknown < max(1, unknown):
        raise SpecError([_refusal(source)])
    if unknown:
        source.shows = known
    return source


def _refusal(source: SpecSource) -> Problem:
    """The problem of a file that is not a spec: its kind and its place, and nothing of its content."""
    line = column = 1
    message = "must be a mapping with tasks in it"
    try:
        if isinstance(parse(source), dict):
            message = "is not a spec: most of it is not under the keys of a spec, such as tasks or defaults"
    except SpecError as fault:
        first = fault.problems[0]
        line, column = first.line or 1, first.column or 1
        message = NOT_YAML
    hint = "its content is not shown, because a spec can name any file"
    return Problem(file=source.file, line=line, column=column, message=message, hint=hint)


def _top_keys(source: SpecSource) -> list[str] | None:
    """The keys of the outermost mapping, found without parsing YAML; None if the text has no content."""
    lines = [line for line in source.text.splitlines() if not re.match(_SKIPPED, line)]
    if not lines:
        return None
    if lines[0].lstrip().startswith("{"):
        return _keys_of_flow(source)
    indent = len(lines[0]) - len(lines[0].lstrip(" "))
    matches = (re.match(_KEY, line) for line in lines)
    return [match["key"] for match in matches if match and len(match["indent"]) == indent]


def _keys_of_flow(source: SpecSource) -> list[str]:
    try:
        data = parse(source)
    except SpecError:
        return []
    return list(data) if isinstance(data, dict) else []
