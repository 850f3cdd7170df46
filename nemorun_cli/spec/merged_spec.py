"""A spec in one piece: the files that it names, `-p` and `--set` are applied, expressions are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.control_characters import one_line
from nemorun_cli.spec import param_values
from nemorun_cli.spec.compose.composition import FOLDER
from nemorun_cli.spec.yaml import writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.spec import Spec
    from nemorun_cli.spec.document import Document

_FIRST: Final = ("version", "name", "title", FOLDER)  # keys in front of all others


def merged(document: Document, spec: Spec) -> dict[str, Any]:
    """The content of a single file, in any folder, that gives the same experiment.

    The names and sources of secrets are in it, and never their values. A selection of tasks (`--only`) and
    plugins that a program passes as objects are not.

    Args:
        document: the spec as read.
        spec: the same, resolved.
    """
    data = dict(document.data)
    if "name" not in data and "title" not in data:
        data["name"] = document.name
    data[FOLDER] = str(document.folder)
    if document.params:
        data["params"] = _with_values(data["params"], document, spec.params)
    if "executors" in data:
        unused = document.brought - spec.executors.keys()
        data["executors"] = {name: entry for name, entry in data["executors"].items() if name not in unused}
    first: dict[str, Any] = {key: data.pop(key) for key in _FIRST if key in data}
    return {**first, **{key: value for key, value in data.items() if value not in ({}, [])}}


def text(document: Document, spec: Spec) -> str:
    """The same as YAML; a comment in the first line names the selected tasks, if some are."""
    lead = f"# --only {one_line(' --only '.join(document.only))}\n" if document.only else ""
    return lead + writer.document(merged(document, spec))


def _with_values(section: Mapping[str, Any], document: Document, values: Mapping[str, Any]) -> dict[str, Any]:
    """The declarations of params, with the given values as their defaults."""
    given = {option.partition("=")[0] for option in document.params}
    return {
        name: param_values.with_default(entry, values[name]) if name in given else entry
        for name, entry in section.items()
    }
