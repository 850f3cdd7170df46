"""What the repository's host and contributors use: workflows, forms, hooks and pages at the root."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from nemorun_cli.cli.app import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
HOST: Final = ROOT / ".github"
WORKFLOWS: Final = sorted((HOST / "workflows").glob("*.yml"))
FORMS: Final = sorted(path for path in (HOST / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PAGES: Final = [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")]
PROGRAMS: Final = {"apt-get", "chown", "pip-audit", "python", "uv"}
"""What workflows call that is not in the repository."""


def document(path: Path) -> Any:
    """The content of a YAML file; `on` of a workflow is the key True of YAML 1.1."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def project() -> dict[str, Any]:
    """The section `project` of pyproject.toml."""
    section: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return section


def supported() -> list[str]:
    """The versions of Python that the classifiers name."""
    form = re.compile(r"Programming Language :: Python :: (3\.\d+)")
    matches = map(form.fullmatch, project()["classifiers"])
    return [match[1] for match in matches if match]


def jobs(path: Path) -> Iterator[dict[str, Any]]:
    """The jobs of a workflow."""
    yield from document(path)["jobs"].values()


def steps(path: Path) -> Iterator[dict[str, Any]]:
    """The steps of all jobs of a workflow."""
    for job in jobs(path):
        yield from job["steps"]


def test_there_is_something_to_check() -> None:
    """Workflows, with actions, and forms are where the tests search them."""
    assert WORKFLOWS
    assert FORMS
    assert supported()
    assert any("uses" in step for path in WORKFLOWS for step in steps(path))
    assert any("`exp " in path.read_text(encoding="utf-8") for path in FORMS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_what_exists(path: Path) -> None:
    """Each line of a step begins with a known program, or with an executable file of the repository."""
    called = [shlex.split(line)[0] for step in steps(path) for line in step.get("run", "").splitlines()]
    assert called
    for name in called:
        if "/" in name:
            assert (ROOT / name).stat().st_mode & 0o111, name
        else:
            assert name in PROGRAMS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read(path: Path) -> None:
    """Its token reads the content of the repository, and no step keeps it."""
    assert document(path)["permissions"] == {"contents": "read"}
    for job in jobs(path):
        assert "permissions" not in job
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_those_of_the_host_at_a_major_version(path: Path) -> None:
    """No action comes from anybody else, and none changes its interface by itself."""
    for step in steps(path):
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v1"))


def test_every_supported_python_is_tested() -> None:
    """The matrix has the versions of the classifiers, and the first is the oldest that is allowed."""
    matrix = document(HOST / "workflows" / "checks.yml")["jobs"]["pythons"]["strategy"]["matrix"]
    assert matrix["python"] == supported()
    assert project()["requires-python"] == f">={supported()[0]}"


def test_updates_are_proposed_for_packages_and_actions() -> None:
    """The configuration names both kinds of what the repository depends on."""
    updates = document(HOST / "dependabot.yml")["updates"]
    assert {entry["package-ecosystem"] for entry in updates} == {"pip", "github-actions"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_asks_for_commands_that_exist(path: Path) -> None:
    """Each `exp COMMAND` in the text of a form is a command, and no two fields have the same id."""
    named = re.findall(r"`exp ([a-z]+)", path.read_text(encoding="utf-8"))
    assert [name for name in named if name not in COMMANDS] == []
    ids = [field["id"] for field in document(path)["body"] if field["type"] != "markdown"]
    assert ids
    assert len(ids) == len(set(ids))


def hooks() -> dict[str, dict[str, Any]]:
    """The hooks of pre-commit, by id."""
    (repository,) = document(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local", "hooks of other repositories are downloaded"
    return {hook["id"]: hook for hook in repository["hooks"]}


def test_hooks_call_what_the_tests_install() -> None:
    """Each hook runs a program of the virtual environment that the tests use."""
    programs = [shlex.split(hook["entry"])[0] for hook in hooks().values() if hook["language"] == "system"]
    assert programs
    for program in programs:
        folder, _, name = program.rpartition("/")
        assert folder == ".venv/bin"
        assert (Path(sys.executable).parent / name).exists(), program


@pytest.mark.parametrize(
    ("message", "is_accepted"),
    [
        ("ledger: refuse a newer version", True),
        ("nemo.cli: --to-yaml writes YAML\n\nThe cause, and the decision.\n", True),
        ("Merge branch 'topic'", True),
        ("ledger: " + "x" * 64, True),
        ("ledger: " + "x" * 65, False),
        ("refuse a newer version", False),
        ("refuse a newer version\n\nledger: not in the subject\n", False),
        (": nothing", False),
    ],
)
def test_a_subject_has_its_part_and_fits(message: str, is_accepted: bool) -> None:  # noqa: FBT001 - a case
    """The hook accepts `part: what` of at most 72 characters, and what git writes itself."""
    hook = hooks()["subject"]
    assert hook["args"] == ["--multiline", "--negate"]
    regex = re.compile(hook["entry"], re.MULTILINE | re.DOTALL)  # as pre-commit compiles it
    assert bool(regex.search(message)) is is_accepted


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_names_files_that_exist(path: Path) -> None:
    """Each path in code of a page exists, as a file or as a folder; capitals are places to fill in."""
    code = re.findall(r"`([\w.]+(?:/[\w.]*)+)`", path.read_text(encoding="utf-8"))
    roots = (ROOT, ROOT / "nemorun_cli")
    named = [name for name in code if not re.search(r"[A-Z]{2}", name) and not name.startswith(".venv")]
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_links_to_files_that_exist(path: Path) -> None:
    """A relative link has a target."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_guide_names_tests_that_exist() -> None:
    """Each test that a recipe names as the one that fails is a test of this suite."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    assert named
    modules = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    defined = {name for module in modules for name in re.findall(r"^def (test_\w+)\(", module, re.MULTILINE)}
    assert named - defined == set()
