"""The documents say what is: their specs are valid, every key is explained, every link leads somewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from support import documents
from support.documents import DOCUMENTS, ROOT, blocks

from nemorun_cli import executors
from nemorun_cli.errors import ExpError
from nemorun_cli.experiment import create
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.spec import load
from nemorun_cli.spec.schema import walk
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Exp

SPEC_PAGES = ROOT / "docs" / "reference" / "spec"
SCHEMA = walk.experiment()
MOST_LINES = 120  # of the architecture page: what somebody new reads at one sitting


def keys(schema: Any) -> Iterator[str]:
    """Every key that a schema lets somebody write, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from keys(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from keys(part)


def test_every_spec_in_the_documents_is_valid(exp: Exp) -> None:
    """A YAML block with tasks is a whole spec, in which nothing is wrong."""
    texts = documents.specs()
    assert len(texts) > 10
    home = Home(exp.home)
    for number, text in enumerate(texts):
        exp.spec(text, name=f"spec-{number}.yaml")
        path = exp.folder / f"spec-{number}.yaml"
        document = load.read(path, executors=executors.known(ask=False), home=home)
        load.resolve(document, create.tentative(document, home))


def test_every_key_is_explained() -> None:
    """Each key of the schema stands in a page of docs/reference/spec/ as code."""
    code: set[str] = set()
    for page in sorted(SPEC_PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        code.update(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", prose))))
    assert sorted(set(keys(SCHEMA)) - code) == []


def test_problems_look_as_the_document_shows_them(exp: Exp) -> None:
    """The problems in the reference of the spec are what the command says of such a spec."""
    page = blocks(SPEC_PAGES / "index.md")
    wanted = next(block.text for block in page if block.text.startswith("exp: the spec has"))
    exp.spec(
        "name: training\ntasks:\n  train:\n    comand: python3 train.py\n  report:\n"
        "    inline: echo done\n    dependencies: [trian]\n    timeout: 2 hours\n",
        name="train.yaml",
    )
    assert exp("validate", "train.yaml", code=2).stderr == wanted


def test_every_word_of_the_json_is_explained() -> None:
    """The reference lists every status, every reason and every exit code there is."""
    reference = ROOT / "docs" / "reference"
    text = (reference / "json.md").read_text(encoding="utf-8")
    assert [word for word in (*TaskStatus, *Reason) if f"`{word}`" not in text] == []
    text = (reference / "exit-codes.md").read_text(encoding="utf-8")
    kinds = [ExpError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert {kind.exit_code for kind in kinds} <= told


def test_the_architecture_names_modules_that_are_there() -> None:
    """The architecture page is short; each module that it names exists, except those that a reader adds."""
    text = (ROOT / "docs" / "internals" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/]+\.(?:py|sh)\b", text)) - {
        "partial.py",  # in an experiment's folder
        "executors/NAME.py",
        "tracking/images.py",
    }
    folders = (ROOT / "nemorun_cli", ROOT)
    assert [name for name in sorted(named) if not any((base / name).is_file() for base in folders)] == []
    assert len(text.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """A link to a file or to a heading has a target."""
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        linked = path.parent / name if name else path
        assert linked.exists(), target
        assert not heading or heading in headings(linked), target


def headings(path: Path) -> set[str]:
    """The headings of a document, as links name them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
