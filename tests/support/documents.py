"""The fenced blocks of a document, with what the comment before each of them says it is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^>]+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `mark` is the comment before it, such as `run` or `file: study.yaml`."""

    language: str
    text: str
    mark: str


def blocks(path: Path) -> list[Block]:
    """The blocks of a document in its order."""
    text = path.read_text(encoding="utf-8")
    return [Block(one["language"], one["text"], one["mark"] or "") for one in _BLOCK.finditer(text)]


def specs() -> list[str]:
    """The whole specs of all pages; not those that need a plugin or a package of their page."""
    return [
        block.text
        for path in DOCUMENTS
        for block in blocks(path)
        if block.language == "yaml"
        and "\ntasks:" in block.text
        and not block.mark.startswith(("plugin: ", "package: "))
    ]
