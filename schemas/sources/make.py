"""Writes what is made of the sources in this folder: the published schemas, and the types of JSON documents.

Each `NAME.json` is a schema that may refer to parts of `shared.json`. The published file contains these parts
itself. `experiment.schema.json` is made of `nemorun_cli/spec/schema/keys.json` and of the options that the
built-in executors, launchers, packagers and plugins declare.

    python schemas/sources/make.py           write the files that differ from their sources
    python schemas/sources/make.py --check   only name them, and exit with 1 if there are any
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import json_text
import typed_documents

from nemorun_cli.spec.schema import published, subschemas

SOURCES: Final = Path(__file__).parent
ROOT: Final = SOURCES.parents[1]
_SHARED: Final = "shared.json"


def bundled(name: str) -> dict[str, Any]:
    """Return the schema of a document with all parts that it refers to."""
    shared = json.loads((SOURCES / _SHARED).read_text(encoding="utf-8"))["$defs"]
    schema = json.loads((SOURCES / f"{name}.json").read_text(encoding="utf-8"))
    own = schema.pop("$defs", {})
    needed = _needed([schema, *own.values()], shared)
    if both := own.keys() & needed:
        raise SystemExit(f"{name}.json defines what {_SHARED} also does: {', '.join(sorted(both))}")
    definitions = {**own, **{part: shared[part] for part in shared if part in needed}}
    whole: dict[str, Any] = _local({**schema, **({"$defs": definitions} if definitions else {})})
    return whole


def _needed(schemas: list[Any], shared: dict[str, Any]) -> set[str]:
    """Return the names of the shared parts that schemas refer to, also through other parts."""
    targets = [target for schema in schemas for target in subschemas.references(schema)]
    waiting = [target.partition(_SHARED)[2] for target in targets if target.startswith(_SHARED)]
    needed: set[str] = set()
    while waiting:
        part = waiting.pop().removeprefix(subschemas.PREFIX)
        if part not in needed:
            needed.add(part)
            waiting += subschemas.references(shared[part])
    return needed


def _local(schema: Any) -> Any:
    """Return a schema whose references to shared parts are references to its own definitions."""
    if not isinstance(schema, dict):
        return schema
    local = subschemas.changed(schema, _local)
    return {**local, "$ref": local["$ref"].removeprefix(_SHARED)} if "$ref" in local else local


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
    parser = argparse.ArgumentParser(
        allow_abbrev=False, description="Write the schemas and the types that differ from their sources."
    )
    parser.add_argument(
        "--check", action="store_true", help="only name them, and exit with 1 if there are any"
    )
    is_check = parser.parse_args().check
    texts = outputs()
    present = {ROOT / "schemas" / path.name for path in (ROOT / "schemas").glob("*.json")}
    wrong = [path for path in texts if not path.exists() or path.read_text(encoding="utf-8") != texts[path]]
    surplus = sorted(present - texts.keys())
    for path in wrong:
        print(f"{'differs from its source' if is_check else 'written'}: {path.relative_to(ROOT)}")
    for path in surplus:
        print(f"{'has no source' if is_check else 'removed'}: {path.relative_to(ROOT)}")
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
