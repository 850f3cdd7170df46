"""The migration page's tables of fields: each row is translated, and each field has a row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from support.documents import ROOT

from nemorun_cli.nemo import elsewhere, launchers, packagers, tunnels
from nemorun_cli.nemo.executors import DockerExecutor, Executor, LocalExecutor, SlurmExecutor, SlurmJobDetails
from nemorun_cli.nemo.field_rules import RefusedValue, Translated, WithoutMeaning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nemorun_cli.nemo.field_rules import Rules

PAGE: Final = ROOT / "docs" / "coming-from" / "nemo-run-executors.md"
SPAN: Final = re.compile(r"(task: )?`([^`]+)`")
BASES: Final[dict[str, Executor]] = {
    "LocalExecutor": LocalExecutor(),
    "DockerExecutor": DockerExecutor(container_image="busybox", packager=packagers.Packager()),
    "SlurmExecutor": SlurmExecutor(account="mine", packager=packagers.Packager()),
}
ALL_RULES: Final[dict[str, Rules]] = {
    **{name: executor.rules for name, executor in BASES.items()},
    **{kind.__name__: rules for kind, rules in packagers.RULES.items()},
    **{kind.__name__: rules for kind, rules in tunnels.RULES.items()},
    "Launcher": launchers.NSYS,
    "Torchrun": launchers.TORCHRUN,
}


class Run:
    """The names of `nemorun_cli.nemo` in the rows."""

    for _module in (packagers, launchers, tunnels):
        locals().update(vars(_module))


NAMES: Final = {"run": Run, "Launcher": launchers.Launcher, "SlurmJobDetails": SlurmJobDetails}


def tables() -> Iterator[tuple[str, list[list[str]]]]:
    """The first cell of each table's head, and the cells of its rows."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Fields of executors\n")[2]
    for block in section.split("\n\n"):
        lines = [line for line in block.strip().split("\n") if line.startswith("|")]
        cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        if cells:
            yield cells[0][0], cells[2:]


TABLES: Final = dict(tables())
ROWS: Final = [(head, row) for head, rows in TABLES.items() for row in rows]


def written(cell: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options and the keys of tasks in the second cell of a row."""
    options: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    for is_of_task, text in SPAN.findall(cell.partition("`;")[0] + "`"):
        (keys if is_of_task else options).update(yaml.safe_load(f"{{{text}}}"))
    return options, keys


def of_fields(executor: Executor, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What fields of an executor add to its translation."""
    changed = executor.clone()
    for name, value in eval(f"dict({text})", dict(NAMES)).items():  # noqa: S307 - our own page
        setattr(changed, name, value)
    (old, old_keys), (new, new_keys) = executor.translated(), changed.translated()
    options = {name: value for name, value in new.options.items() if old.options.get(name) != value}
    return options, {name: value for name, value in new_keys.items() if old_keys.get(name) != value}


def of_object(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The translation of a packager or a launcher."""
    made = eval(text, dict(NAMES))  # noqa: S307 - our own page
    if isinstance(made, packagers.Packager):
        return made.change()
    launcher = launchers.made(made).translated(nodes=2, processes=4)
    return {}, {"launcher": launcher}


@pytest.mark.parametrize(("head", "row"), [row for row in ROWS if len(row[1]) == 2 and row[0] != "field"])
def test_a_row_is_translated_as_it_says(
    head: str, row: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second cell has the options and keys that the first one gives, and no others."""
    monkeypatch.chdir(tmp_path)  # no repository
    wanted = written(row[1])
    kind = head.strip("`")
    for _, text in SPAN.findall(row[0]):
        if kind == "every executor":
            assert {str(of_fields(executor, text)) for executor in BASES.values()} == {str(wanted)}
        elif kind in BASES:
            assert of_fields(BASES[kind], text) == wanted
        else:
            assert of_object(text) == wanted


def test_every_translated_field_has_a_row() -> None:
    """A field is named in the table of its class, or in that of every executor."""
    everywhere = str(TABLES["every executor"])
    for kind, rules in ALL_RULES.items():
        own = str(TABLES.get(f"`{kind}`", ROWS))
        names = [name for name, rule in rules.items() if isinstance(rule, Translated)]
        assert [name for name in names if not re.search(rf"\b{name}=", own + everywhere)] == [], kind


@pytest.mark.parametrize("kind", [WithoutMeaning, RefusedValue])
def test_every_other_field_has_its_reason(kind: Any) -> None:
    """The tables of fields without meaning, and of refused ones, have each with the reason in the rules."""
    texts = ("why",) if kind is WithoutMeaning else ("why", "instead")
    rows = [row for head, rows in tables() for row in rows if head == "field" and len(row) == 1 + len(texts)]
    explained = {(name, *row[1:]) for row in rows for _, name in SPAN.findall(row[0])}
    wanted = {
        (name, *(getattr(rule, text) for text in texts))
        for rules in ALL_RULES.values()
        for name, rule in rules.items()
        if isinstance(rule, kind)
    }
    # A row may also name the class of a field.
    assert {entry for entry in explained if entry[0] not in ALL_RULES} == wanted


def test_every_class_that_is_refused_has_a_row() -> None:
    """The table has the sentences of the errors."""
    kinds = [value for value in vars(elsewhere).values() if isinstance(value, elsewhere.Absent)]
    assert TABLES["class"] == [[f"`{kind.__name__}`", kind.why, kind.instead] for kind in kinds]
