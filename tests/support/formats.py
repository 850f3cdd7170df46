"""Checks of JSON documents against their published schemas."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from nemorun_cli.spec.schema import walk


def checked(document: Any) -> Any:
    """The document, after it was found to be of the form that it names."""
    kind = document["schema"] if "schema" in document else document["format"]  # the latter from a server
    name = kind.removeprefix("exp.").removesuffix("/1")
    form = json.loads((walk.folder() / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(form).validate(document)
    return document
