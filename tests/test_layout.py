"""The packages: what they import, and that every text that names a module names one that exists."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import grimp
import pytest

import nemorun_cli
from nemorun_cli import nemo
from nemorun_cli.cli import app
from nemorun_cli.nemo import alias

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(nemorun_cli.__file__).parent
PICTURE = PACKAGE.parent / "docs" / "internals" / "architecture.md"
MODULE = re.compile(r"nemorun_cli(\.[a-z_]+)+(:\w+)?")  # or a class in one
QUOTED = re.compile(r"[\"']nemorun_cli")
GROUPS = {f"nemorun_cli.{kind}" for kind in ("executors", "launchers", "packagers", "plugins")}
"""Entry-point groups, which are named like packages and need not be any."""
UPWARDS = {("plugins", "experiment"), ("plugins", "views")}
"""What the plugin `notify` imports, written against the public API."""


def picture() -> dict[str, list[str]]:
    """The rows of the picture: each package, and those that it imports."""
    text = PICTURE.read_text(encoding="utf-8")
    block = text.partition("```text\n")[2].partition("```")[0]
    rows = {}
    for line in block.splitlines():
        name, _, imported = line.partition("─▶")
        rows[name.strip()] = re.split(r" {2,}", imported.strip())[0].split()
    return rows


def part(module: str) -> str:
    """The package, or the module of the root, that a module belongs to."""
    return module.split(".")[1]


def test_the_picture_of_the_packages_is_true() -> None:
    """docs/internals/architecture.md shows each package with exactly those that it imports."""
    graph = grimp.build_graph("nemorun_cli", cache_dir=None)
    found: dict[str, set[str]] = {part(module): set() for module in graph.modules if "." in module}
    for module in graph.modules - {"nemorun_cli"}:
        for imported in graph.find_modules_directly_imported_by(module):
            assert imported != "nemorun_cli", f"{module} imports the root, which imports everything"
            if (part(module), part(imported)) not in UPWARDS and part(module) != part(imported):
                found[part(module)].add(part(imported))
    assert {name: set(row) for name, row in picture().items()} == found


def test_arrows_point_down() -> None:
    """A package imports only packages of rows below its own."""
    rows = list(picture())
    for name, imported in picture().items():
        assert [other for other in imported if rows.index(other) <= rows.index(name)] == []


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the package that reads like the name of a module, or of a class in one."""
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not QUOTED.search(source):
            continue  # parsing all would take a second
        for node in ast.walk(ast.parse(source)):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and MODULE.fullmatch(text) and text not in GROUPS:
                yield str(path.relative_to(PACKAGE)), text


@pytest.mark.parametrize(("path", "text"), list(texts()))
def test_a_text_that_names_a_module_names_one_that_exists(path: str, text: str) -> None:
    """What is imported by its name alone, as registries and processes do it, can be imported."""
    del path
    module, _, name = text.partition(":")
    found = importlib.import_module(module)
    assert not name or hasattr(found, name)


def test_texts_that_name_modules_are_found() -> None:
    """The search sees the registries, the public names and the programs of other processes."""
    found = {text for _, text in texts()}
    assert {"nemorun_cli.supervisor.process", "nemorun_cli.experiment.listener_process"} <= found
    assert "nemorun_cli.executors.local:LocalExecutor" in found


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_has_its_module(name: str) -> None:
    """The module of a command is found by the command's name."""
    assert callable(importlib.import_module(f"nemorun_cli.cli.commands.{name}").command)


@pytest.mark.parametrize("name", nemorun_cli.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    """Public names are imported at their first use, from a module that has them."""
    assert getattr(nemorun_cli, name) is not None


RAW_READ = re.compile(
    r"(?<![\w.])open\(|\bos\.open\(|(?<!tarfile)\.open\((?=[\"e])|(?<!feed)\.read_text\(|(?<!files)(?<!self)\.read_bytes\("
    r"|copyfile\(|dotenv_values\((?!stream)"
)
KERNEL = re.compile(r"/proc/|/dev/|os\.devnull|_?CGROUP\b|O_EXCL|open\(descriptor")
"""What nobody else writes: files of the kernel, new files, and descriptors that are open already."""
RAW_READS = {
    "contract/": "conformance tests, in folders of their own",
    "system/files.py": "the way itself",
    "system/trees.py": "folders, which open without waiting and behind no link",
    "spec/schema/walk.py": "a schema of the package",
    "spec/yaml/source.py: with path.open(": "the spec that the user names, which may be a pipe",
    "experiment/create.py: shutil.copyfile(shim_call.SHIM": "a file of the package",
    "experiment/create.py: shutil.copyfile(planning.RUN_PARTIAL": "the same",
    "experiment/create.py: shutil.copyfile(planning.ACTIVATE": "the same",
    "executors/run_partial.py": "a program that runs as the task, on the task's own files",
    "supervisor/process.py: _become(number, os.open(path": "/dev/null",
    "system/pids.py: return path.read_text(": "a file of /proc",
    "cli/commands/init.py": "a new file",
}
"""Where a path is opened in another way, and why that is safe."""


def test_files_are_opened_in_one_way() -> None:
    """`system/files.py` opens what others can write: without waiting, only regular files, and bounded."""
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if RAW_READ.search(line) and not KERNEL.search(line) and "def " not in line
    ]
    assert [line for line in found if not line.startswith(tuple(RAW_READS))] == []
    assert [start for start in RAW_READS if not any(line.startswith(start) for line in found)] == []


NAMED_ALIKE = {("dash/experiment.py", "Experiment")}
"""Classes with the names of another tool, whose programs import them by these names."""


def is_of_nemo_run(module: str, name: str) -> bool:
    """Whether a class has a name by which programs for NeMo-Run know it."""
    return module.startswith("nemo/") and name in {*nemo.__all__, *alias.OTHERS}


def test_a_class_can_be_searched_by_its_name() -> None:
    """No two modules define a public class of the same name, but for the values of a Builder.

    These are called like the executors that they stand for, as in NeMo-Run; and names of other tools.
    """
    places: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = str(path.relative_to(PACKAGE))
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef) or (module, node.name) in NAMED_ALIKE:
                continue
            if (
                not node.name.startswith("_")
                and module != "parts.py"
                and not is_of_nemo_run(module, node.name)
            ):
                places.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}
