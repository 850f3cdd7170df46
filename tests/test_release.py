"""The script that prepares a release: what it refuses, what it builds, and that it publishes nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.scripts import module_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT: Final = Path(__file__).parents[1]
SCRIPT: Final = ROOT / ".ci" / "release.py"
CHANGELOG: Final = "# Changelog\n\n## HEADING\n\n### Added\n\n- A thing.\n\n## 1.2.2, 2026-01-01\n\n- Old.\n"
PAGE: Final = "nemorun_cli/page/static/"
"""The files that `exp serve` gives to browsers."""
TODAY: Final = "2026-02-28"  # not that of the clock, which may reach midnight during a test
IDENTITY: Final = ("-c", "user.name=n", "-c", "user.email=n@localhost", "-c", "commit.gpgsign=false")


def git(repository: Path, *arguments: str) -> None:
    """Run git there, as somebody."""
    subprocess.run(["git", *IDENTITY, *arguments], cwd=repository, check=True, capture_output=True)


def write_changelog(repository: Path, heading: str) -> None:
    """Write the changelog, with this heading of its first section."""
    (repository / "CHANGELOG.md").write_text(CHANGELOG.replace("HEADING", heading), encoding="utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository that is ready to be released."""
    for folder in ("nemorun_cli", ".ci"):
        (tmp_path / folder).mkdir()
    (tmp_path / "nemorun_cli" / "version.py").write_text('__version__ = "1.2.3"\n', encoding="utf-8")
    write_changelog(tmp_path, f"1.2.3, {TODAY}")
    shutil.copy(SCRIPT, tmp_path / ".ci")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "everything: begin")
    return tmp_path


def prepare(repository: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a repository."""
    command = [sys.executable, str(repository / ".ci" / SCRIPT.name), "--today", TODAY, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_dry_run_lists_the_steps_and_does_nothing(repository: Path) -> None:
    """It names what it would do, and the commands that publish; there is no tag and no package afterwards."""
    before = sorted(repository.rglob("*"))
    done = prepare(repository, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "release: 1.2.3 can be prepared",
        "would make tests/ledgers/1.2.3",
        "would run tests/run",
        "would build into dist/1.2.3, and try the wheel with examples/specs/hello.yaml",
        "then:",
        "  git tag --annotate v1.2.3 --message 1.2.3",
        "  git push origin v1.2.3",
        "  twine upload dist/1.2.3/*",
    ]
    assert "tests/run" not in prepare(repository, "--dry-run", "--tests-passed").stdout
    assert sorted(repository.rglob("*")) == before


def headed(heading: str) -> Callable[[Path], None]:
    """Give the first section of the changelog another heading, and commit it."""

    def change(repository: Path) -> None:
        write_changelog(repository, heading)
        git(repository, "commit", "--quiet", "--all", "--message", "changelog: another one")

    return change


def empty(repository: Path) -> None:
    """Remove the entry of the first section, and commit that."""
    path = repository / "CHANGELOG.md"
    path.write_text(path.read_text(encoding="utf-8").replace("- A thing.\n", ""), encoding="utf-8")
    git(repository, "commit", "--quiet", "--all", "--message", "changelog: nothing")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda repository: (repository / "new").touch(), "the tree is not clean:\n?? new"),
        (lambda repository: git(repository, "tag", "v1.2.3"), "version 1.2.3 has a tag already"),
        (
            headed("1.2.3, not yet released"),
            "the first section of CHANGELOG.md is '1.2.3, not yet released'",
        ),
        (headed("1.2.3, 2026-01-02"), "the first section of CHANGELOG.md is '1.2.3, 2026-01-02'"),
        (headed("1.2.4, 2026-01-02"), "the first section of CHANGELOG.md is '1.2.4"),
        (empty, "CHANGELOG.md has no entries"),
    ],
    ids=["dirty", "tagged", "undated", "dated before", "another version", "empty"],
)
def test_what_is_not_ready_is_refused(repository: Path, change: Callable[[Path], None], problem: str) -> None:
    """The problem is named with a remedy, and nothing is done."""
    change(repository)
    done = prepare(repository)
    assert (done.returncode, done.stdout) == (1, "")
    assert problem in done.stderr
    assert "\nhint: " in done.stderr


@pytest.fixture(scope="module")
def release() -> ModuleType:
    """The script as a module."""
    return module_of(SCRIPT)


def test_a_command_that_does_not_end_is_a_problem(release: ModuleType) -> None:
    """The message names the command and how long it had."""
    with pytest.raises(SystemExit, match=r"^release: sleep 60 did not end in 0\.1 seconds\nhint: "):
        release.output("sleep", "60", limit=0.1)


def test_the_packages_have_everything(release: ModuleType, tmp_path: Path) -> None:
    """What this repository builds has each file of the package, the schemas, the docs and the tests."""
    wheel, sdist = release.build(ROOT, tmp_path / "dist")
    release.check_contents(ROOT, wheel, sdist)
    with zipfile.ZipFile(wheel) as archive:
        present = archive.namelist()
    names = [name for name in present if not name.endswith(("status.schema.json", "py.typed"))]
    page = {name.removeprefix(PAGE) for name in present if name.startswith(PAGE)}
    with zipfile.ZipFile(wheel) as archive:
        parts = set(re.findall(r'/static/([^"]+)"', archive.read(f"{PAGE}index.html").decode()))
    assert {"index.html", "icon.svg", "licences.md", *parts} <= page
    assert {Path(name).suffix for name in page} == {".html", ".svg", ".md", ".js", ".css"}
    with tarfile.open(sdist) as archive_of_sources:
        sources = {name.partition("/")[2] for name in archive_of_sources.getnames()}
    assert {"web/package-lock.json", "web/src/app/main.tsx", f"{PAGE}index.html"} <= sources
    assert not [name for name in sources if "node_modules" in name]
    assert release.missing_in_wheel(ROOT, [*names, "tests/test_release.py"], release.version_of(ROOT)) == [
        "nemorun_cli/py.typed is missing",
        "nemorun_cli/schemas/status.schema.json is missing",
        "tests/test_release.py does not belong there",
    ]
