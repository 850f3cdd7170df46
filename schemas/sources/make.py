"""Writes what is made of the sources in this folder: the published schemas, and the types of JSON documents.

Each `NAME.json` is a schema that may refer to parts of `shared.json`. The published file contains these parts
itself. `experiment.schema.json` is made of `nemorun_cli/spec/schema/keys.json` and of the options that the
built-in executors, launchers, packagers and plugins declare.

    python schemas/sources/make.py           write the files that differ from their sources
    python schemas/sources/make.py --check   only name them, and exit with 1 if there are any
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import json_text
import typed_documents

from nemorun_cli.spec.schema import published

SOURCES: Final = Path(__file__).parent
ROOT: Final = SOURCES.parents[1]
_SHARED: Final = "shared.json"


def bundled(name: str) -> dict[str, Any]:
    """Return the schema of a document with all parts that it refers to."""
    shared = json.loads((SOURCES / _SHARED).read_text(encoding="utf-8"))["$defs"]
    schema = json.loads((SOURCES / f"{name}.json").read_text(encoding="utf-8"))
    own = schema.pop("$defs", {})
    needed = _needed([schema, own], shared)
    if both := own.keys() & needed:
        raise SystemExit(f"{name}.json defines what {_SHARED} also does: {', '.join(sorted(both))}")
    definitions = {**own, **{part: shared[part] for part in shared if part in needed}}
    whole: dict[str, Any] = _local({**schema, **({"$defs": definitions} if definitions else {})})
    return whole


def _needed(schema: Any, shared: dict[str, Any]) -> set[str]:
    """Return the names of the shared parts that a schema refers to, also through other parts."""
    waiting = [ref.partition(_SHARED)[2] for ref in _references(schema) if ref.startswith(_SHARED)]
    needed: set[str] = set()
    while waiting:
        part = waiting.pop().removeprefix("#/$defs/")
        if part not in needed:
            needed.add(part)
            waiting += _references(shared[part])
    return needed


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [ref for item in schema for ref in _references(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [ref for item in schema.values() for ref in _references(item)]


def _local(schema: Any) -> Any:
    """Return a schema whose references to shared parts are references to its own definitions."""
    if isinstance(schema, list):
        return [_local(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: item.removeprefix(_SHARED) if key == "$ref" and isinstance(item, str) else _local(item)
        for key, item in schema.items()
    }


def outputs() -> dict[Path, str]:
    """Return the text of each file that is made of the sources."""
    names = sorted(path.stem for path in SOURCES.glob("*.json") if path.name != _SHARED)
    documents = {name: bundled(name) for name in names}
    texts = {ROOT / "schemas" / f"{name}.schema.json": json_text.text(documents[name]) for name in names}
    texts[ROOT / "schemas" / "experiment.schema.json"] = json_text.text(published.built_in())
    texts[ROOT / "nemorun_cli" / "json_documents.py"] = typed_documents.module(documents)
    return texts


def main() -> int:
    """Write or name the files that differ; return the exit code."""
    is_check = sys.argv[1:] == ["--check"]
    texts = outputs()
    present = {ROOT / "schemas" / path.name for path in (ROOT / "schemas").glob("*.json")}
    wrong = [path for path in texts if not path.exists() or path.read_text(encoding="utf-8") != texts[path]]
    surplus = sorted(present - texts.keys())
    for path in [*wrong, *surplus]:
        print(f"{'differs from its source' if is_check else 'written'}: {path.relative_to(ROOT)}")
    if is_check:
        if wrong or surplus:
            print("run: python schemas/sources/make.py")
        return 1 if wrong or surplus else 0
    for path in wrong:
        path.write_text(texts[path], encoding="utf-8")
    for path in surplus:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
