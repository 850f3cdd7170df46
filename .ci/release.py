"""Prepares a release: checks the tree, tests, builds and tries the packages, and prints what publishes them.

    .venv/bin/python .ci/release.py [--dry-run] [--tests-passed]

The version is that of nemorun_cli/version.py. CHANGELOG.md must begin with its section, `## VERSION, DATE`,
with the date of today in UTC. The virtual environment is that of tests/run. If tests/ledgers/VERSION does not
exist, the script makes it on the engines of the tests, as root. It makes no tag and uploads nothing.

--dry-run       check the tree, and print what would be done
--tests-passed  do not run tests/run, which passed for this commit
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = "nemorun_cli"
VERSION: Final = re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE)
EXAMPLE: Final = "examples/specs/hello.yaml"
PAGES: Final = (
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CODE_OF_CONDUCT.md",
)
TIMEOUT: Final = 600.0  # seconds that one command may take; the tests and the ledgers have no limit


def stop(problem: str, remedy: str) -> NoReturn:
    """End with a problem of the release, and what to do about it."""
    raise SystemExit(f"release: {problem}\nhint: {remedy}")


def output(*command: str, cwd: Path = ROOT, limit: float = TIMEOUT) -> str:
    """What a command prints; a failure, or more seconds than `limit`, ends the release."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        stop(f"{shlex.join(command)} did not end in {limit:g} seconds", "see what it waits for")
    if done.returncode:
        stop(f"{shlex.join(command)} failed with {done.returncode}", (done.stderr or done.stdout).strip())
    return done.stdout


def run(*command: str, env: dict[str, str] | None = None) -> None:
    """Run a command in the repository, with its output shown; a failure ends the release."""
    print(f"== {shlex.join(command)}", flush=True)
    code = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, check=False).returncode
    if code:
        stop(f"{shlex.join(command)} failed with {code}", "repair what failed, commit it, and begin again")


# -- what is checked before anything is done --------------------------------------------------------------


def version_of(root: Path) -> str:
    """The version in the sources."""
    match = VERSION.search((root / PACKAGE / "version.py").read_text(encoding="utf-8"))
    if match is None:
        stop(f"{PACKAGE}/version.py has no version of three numbers", 'write __version__ = "1.2.3"')
    return match[1]


def check_tree(root: Path) -> None:
    """Everything in the folder is committed."""
    if changed := output("git", "status", "--porcelain", cwd=root):
        stop(f"the tree is not clean:\n{changed.rstrip()}", "commit or remove these files")


def check_new(root: Path, version: str) -> None:
    """No tag has this version."""
    if output("git", "tag", "--list", f"v{version}", cwd=root):
        stop(f"version {version} has a tag already", f"set the next version in {PACKAGE}/version.py")


def check_changelog(root: Path, version: str, today: dt.date) -> None:
    """The first section of the changelog is that of the version, dated today, and is not empty."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    first, _, rest = text.partition("\n## ")[2].partition("\n")
    wanted = f"{version}, {today.isoformat()}"
    if first != wanted:
        stop(f"the first section of CHANGELOG.md is {first!r}", f"its heading must be `## {wanted}`")
    if "\n- " not in rest.partition("\n## ")[0]:
        stop(f"the section {wanted} of CHANGELOG.md has no entries", "list what users notice")


# -- what is built ----------------------------------------------------------------------------------------


def tracked(root: Path, *paths: str) -> list[str]:
    """The files of the repository below these paths."""
    names = output("git", "ls-files", "-z", "--", *paths, cwd=root).split("\0")[:-1]
    return [name for name in names if (root / name).exists()]


def missing_in_wheel(root: Path, names: Iterable[str], version: str) -> list[str]:
    """What a wheel must have and has not, and what it has and must not have.

    It has each file of the package, the type marker among them, each schema, and the licence.
    """
    info = f"{PACKAGE}-{version}.dist-info"
    schemas = [f"{PACKAGE}/schemas/{path.name}" for path in sorted((root / "schemas").glob("*.json"))]
    required = {*tracked(root, PACKAGE), *schemas, f"{PACKAGE}/py.typed", f"{info}/licenses/LICENSE"}
    present = set(names)
    foreign = (name for name in present if not name.startswith((f"{PACKAGE}/", f"{info}/")))
    return [
        *(f"{name} is missing" for name in sorted(required - present)),
        *(f"{name} does not belong there" for name in sorted(foreign)),
        *(f"{name} is compiled" for name in sorted(present) if name.endswith(".pyc")),
    ]


def missing_in_sdist(root: Path, names: Iterable[str], version: str) -> list[str]:
    """What a source distribution must have and has not: package, schemas, examples, docs and tests."""
    required = tracked(root, PACKAGE, "schemas", "examples", "docs", "tests", "pyproject.toml", *PAGES)
    present = {name.removeprefix(f"{PACKAGE}-{version}/") for name in names}
    return [f"{name} is missing" for name in sorted({*required} - present)]


def build(root: Path, target: Path) -> tuple[Path, Path]:
    """Build both packages into a folder that is new; gives the wheel and the source distribution."""
    version = version_of(root)
    output(
        sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(target), cwd=root
    )
    return target / f"{PACKAGE}-{version}-py3-none-any.whl", target / f"{PACKAGE}-{version}.tar.gz"


def check_contents(root: Path, wheel: Path, sdist: Path) -> None:
    """Both packages have what they must have."""
    version = version_of(root)
    with zipfile.ZipFile(wheel) as archive:
        problems = missing_in_wheel(root, archive.namelist(), version)
    with tarfile.open(sdist) as archive:
        problems += missing_in_sdist(root, archive.getnames(), version)
    if problems:
        stop(
            "the packages are not as they should be:\n" + "\n".join(problems),
            "see pyproject.toml, tool.hatch",
        )


def try_wheel(wheel: Path, version: str) -> None:
    """The wheel is installed into a new environment, in which an example runs, away from the repository."""
    with tempfile.TemporaryDirectory(prefix="exp-release-") as name:
        folder = Path(name)
        programs = folder / "venv" / "bin"
        output(sys.executable, "-m", "venv", str(folder / "venv"))
        output(str(programs / "python"), "-m", "pip", "install", "--quiet", str(wheel))
        spec = folder / "spec.yaml"
        spec.write_bytes((ROOT / EXAMPLE).read_bytes())
        home, exp = f"NEMORUN_HOME={folder / 'home'}", str(programs / "exp")
        shown = output(exp, "--version", cwd=folder).strip()
        if shown != f"exp {version}":
            stop(f"the installed command is {shown!r}, not version {version}", "build again")
        for words in (["validate", str(spec)], ["schema", "tasks"], ["run", str(spec)], ["status", "--json"]):
            output("env", home, exp, *words, cwd=folder)
    print(f"== {wheel.name} runs {EXAMPLE} in a new environment")


# -- the release ------------------------------------------------------------------------------------------


def make_ledgers(version: str) -> None:
    """Make the experiments that later versions have to read, and end: they are committed before the tag."""
    if os.geteuid() != 0:
        stop(
            f"tests/ledgers/{version} does not exist, and only root can start the engines that it needs",
            "run this script as root on a Debian",
        )
    run(sys.executable, "-m", "pytest", "tests/ledgers/make.py", env={"LEDGERS_VERSION": version})
    stop(
        f"tests/ledgers/{version} is new",
        f"git add tests/ledgers/{version}, commit it as `ledgers: experiments of {version}`, and begin again",
    )


def commands(version: str) -> list[str]:
    """What publishes the release."""
    return [
        f"git tag --annotate v{version} --message {version}",
        f"git push origin v{version}",
        f"twine upload dist/{version}/*",
    ]


def main(arguments: Sequence[str]) -> None:
    """Prepare the release; the exit code is 0 if everything is ready to be published."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="check the tree, and print what would be done")
    parser.add_argument("--tests-passed", action="store_true", help="do not run tests/run")
    parser.add_argument(
        "--today",
        metavar="YYYY-MM-DD",
        type=dt.date.fromisoformat,
        default=dt.datetime.now(tz=dt.UTC).date(),
        help="the date that the changelog must have (default: that of now, in UTC)",
    )
    options = parser.parse_args(arguments)
    version = version_of(ROOT)
    check_tree(ROOT)
    check_new(ROOT, version)
    check_changelog(ROOT, version, options.today)
    has_ledgers = (ROOT / "tests" / "ledgers" / version).is_dir()
    if options.dry_run:
        print(f"release: {version} can be prepared")
        if not has_ledgers:
            print(f"would make tests/ledgers/{version}")
        if not options.tests_passed:
            print("would run tests/run")
        print(f"would build into dist/{version}, and try the wheel with {EXAMPLE}")
        print("then:", *commands(version), sep="\n  ")
        return
    if not has_ledgers:
        make_ledgers(version)
    if not options.tests_passed:
        run("tests/run")
    target = ROOT / "dist" / version
    if target.exists():
        stop(f"dist/{version} exists", "remove it: it may be of another commit")
    wheel, sdist = build(ROOT, target)
    check_contents(ROOT, wheel, sdist)
    try_wheel(wheel, version)
    check_tree(ROOT)
    print(f"release: {version} is ready; publish it with", *commands(version), sep="\n  ")


if __name__ == "__main__":
    main(sys.argv[1:])
