from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.tiny_wheels import slow_project, wheel

from nemorun_cli.packagers.environments import requirements
from nemorun_cli.packagers.environments.interpreters import EnvironmentFault

if TYPE_CHECKING:
    from pathlib import Path


def written(path: Path, text: str) -> Path:
    """A file with this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_files_are_read_as_one_list_with_absolute_paths(tmp_path: Path) -> None:
    """Included files, constraints, continued lines, comments and local paths become one flat list."""
    built = wheel(tmp_path / "wheels")
    written(tmp_path / "more" / "c.txt", "idna<4\n")
    written(
        tmp_path / "more" / "b.txt",
        "-c c.txt\n../wheels/tinypkg-1.0-py3-none-any.whl ; python_version > '3'\n",
    )
    text = "--no-index  # no network\n-r more/b.txt\n--find-links=wheels\nnumpy \\\n  >=2\n# a comment\n"
    text += "tinypkg @ file:wheels/tinypkg-1.0-py3-none-any.whl\nx[y]==1 --hash=sha256:00\n"
    read = requirements.of_file(written(tmp_path / "requirements.txt", text))
    assert read.lines == [
        "--no-index",
        f"{built} ; python_version > '3'",
        f"--find-links {tmp_path}/wheels",
        "numpy   >=2",
        f"tinypkg @ {built}",
        "x[y]==1 --hash=sha256:00",
    ]
    assert read.constraints == ["idna<4"]
    assert read.files.keys() == {str(built), f"{tmp_path}/wheels"}


def test_the_digest_changes_with_each_thing_that_is_installed(tmp_path: Path) -> None:
    """A line, a constraint, and the content of a local file change it; a comment, and time, do not."""
    path = tmp_path / "requirements.txt"
    built = wheel(tmp_path)
    digests = []
    for text in ("a\n", "a # b\n", "a\nb\n", "a\n-c c.txt\n", f"a\n{built}\n"):
        written(tmp_path / "c.txt", "b\n")
        digests.append(requirements.of_file(written(path, text)).digest())
    wheel(tmp_path, value=43)
    digests.append(requirements.of_file(path).digest())
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5


def test_a_local_folder_counts_by_the_files_that_a_build_reads(tmp_path: Path) -> None:
    """Sources count; what is hidden, or left by a build, does not."""
    folder = slow_project(tmp_path / "project")
    before = requirements.hash_of(str(folder))
    for name in (".git/HEAD", "build/x", "__pycache__/m.pyc", "tiny.egg-info/PKG-INFO"):
        written(folder / name, "x")
    assert requirements.hash_of(str(folder)) == before
    written(folder / "module.py", "x")
    assert requirements.hash_of(str(folder)) != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-r nowhere.txt\n", "there is no file"),
        ("./nowhere.whl\n", "line 1 of .*requirements.txt names .*nowhere.whl, which does not exist"),
        ("a\n-r requirements.txt\n", "is included by itself"),
        ("x @ https://me:word@host/x.whl\n", "line 1 of .* contains a password, which would be stored"),
        ("-r https://host/r.txt\n", "is not a local file"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    """A missing file, a circle, a password and an include from a network are refused with the line."""
    with pytest.raises(EnvironmentFault, match=message):
        requirements.of_file(written(tmp_path / "requirements.txt", text))


def test_a_password_may_be_the_name_of_a_variable(tmp_path: Path) -> None:
    """Uv inserts the value when it installs, so that only the name is stored."""
    line = "--extra-index-url https://me:${TOKEN}@host/simple"
    assert requirements.of_list([line, "x"], tmp_path).lines == [line, "x"]


def test_a_project_gives_its_dependencies(tmp_path: Path) -> None:
    """Without a lock file, the dependencies of the project; sources of its own need one."""
    path = written(
        tmp_path / "pyproject.toml", '[project]\nname = "x"\ndependencies = ["numpy>=2", "idna"]\n'
    )
    assert requirements.of_file(path).lines == ["numpy>=2", "idna"]
    written(path, f'{path.read_text()}[tool.uv.sources]\nidna = {{path = "../idna"}}\n')
    with pytest.raises(EnvironmentFault, match="sources of its own for idna"):
        requirements.of_file(path)
    with pytest.raises(EnvironmentFault, match="no list `dependencies`"):
        requirements.of_file(written(path, "[build-system]\n"))
