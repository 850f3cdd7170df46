"""A spec can name any file of the machine: none is waited for, and no foreign line is shown."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from support.hostile_files import KINDS, limited, put

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import render
from nemorun_cli.spec import load

if TYPE_CHECKING:
    from pathlib import Path

TASKS = "name: x\ntasks: {a: {inline: 'true'}}\n"
FOREIGN = {
    "netrc": "machine: login-hunter2\n",
    "text": "machine hunter2 login hunter2\n",
    "shadow": "root:$6$hunter2:19000:0:99999:7:::\ndaemon:*hunter2:19000:0:99999:7:::\n",
    "key": "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
    "json": '{"auths": {"registry": {"auth": "hunter2"}}}',
    "broken json": '{"auths": {"hunter2": [}}',
    "list": "- hunter2\n- [hunter2\n",
    "dotenv": "TOKEN=hunter2\nOTHER=hunter2\n",
    "alias": "a: *hunter2\n",
    "twice": "hunter2: 1\nhunter2: 2\n",
    "services": "services:\n  db: {password: hunter2}\nvolumes: {hunter2: {}}\nname: x\n",
    "one key of a spec": "name: x\npassword: hunter2\n",
    "tabs": "data:\n\thunter2: 1\n",
}
"""Contents that are not those of a spec."""


def told(spec: Path) -> str:
    """All that a user sees of the problems of a spec."""
    with limited(str(spec)), pytest.raises(SpecError) as caught:
        load.validate(spec)
    assert caught.value.problems
    return render(caught.value.problems) + str(caught.value) + repr(caught.value.problems)


@pytest.mark.parametrize("key", ["extends", "include"])
@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_not_a_spec_is_not_shown(tmp_path: Path, key: str, content: str) -> None:
    """Its problem names the file, and the place in it, and no line of it."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text(content)
    (tmp_path / "spec.yaml").write_text(f"{key}: other/file\n{TASKS}")
    text = told(tmp_path / "spec.yaml")
    assert "other/file" in text
    assert "hunter2" not in text


def test_a_spec_that_is_a_link_to_a_foreign_file_shows_nothing(tmp_path: Path) -> None:
    """A repository may contain such a link, and CI shows the problems of its pull requests."""
    (tmp_path / "foreign").write_text(FOREIGN["text"])
    (tmp_path / "spec.yaml").symlink_to("foreign")
    assert "hunter2" not in told(tmp_path / "spec.yaml")


def test_the_shared_executors_show_no_foreign_line(tmp_path: Path) -> None:
    """The executors of a project may be a link, too."""
    (tmp_path / "foreign").write_text(FOREIGN["netrc"])
    (tmp_path / ".nemorun").mkdir()
    (tmp_path / ".nemorun" / "executors.yaml").symlink_to(tmp_path / "foreign")
    (tmp_path / "spec.yaml").write_text("name: x\ntasks: {a: {inline: 'true', executor: other}}\n")
    text = told(tmp_path / "spec.yaml")
    assert "executors.yaml" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("tasks: {b: {inlin: 'true'}}\n", "inlin: 'true'"),
        ("env: {a: [}\n", "env: {a: [}"),
        ("  tags: [a]\n  name: 5\n", "name: 5"),
        ('{"name": 5}', '{"name": 5}'),
        ("---\n# a comment\nname: 5\n", "name: 5"),
        ("name: x\nenv: {a: [1]}\nown: hunter2\n", "env: {a: [1]}"),
    ],
)
def test_the_line_of_a_problem_in_another_spec_is_shown(tmp_path: Path, content: str, shown: str) -> None:
    """What is most likely a spec is quoted, except under keys that no spec has."""
    (tmp_path / "base.yaml").write_text(content)
    (tmp_path / "spec.yaml").write_text(f"extends: base.yaml\n{TASKS}".replace("name: x\n", ""))
    text = told(tmp_path / "spec.yaml")
    assert shown in text
    assert "hunter2" not in text


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "foreign file" not in kind])
@pytest.mark.parametrize(
    "line",
    ["extends: file", "include: file", "env_file: file", "env_file: {path: file, secret: true}"],
)
def test_what_is_no_small_regular_file_is_a_problem_at_once(tmp_path: Path, line: str, kind: str) -> None:
    """No FIFO is waited for, and no device or huge file is read."""
    put(tmp_path / "file", kind, secret=tmp_path / "foreign" / "secret")
    (tmp_path / "spec.yaml").write_text(f"{line}\n{TASKS}")
    assert "file" in told(tmp_path / "spec.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("root:$6$hunter2:19000::\nA=1\ndaemon:hunter2::\n", "is not allowed as the name of a variable"),
        ("hunter2\n", "has no value"),
        ("A=1\nhunter2=\nB=2\n", None),
        ("A=1\nB=2\n9X=1\n", "'9X' is not allowed as the name of a variable"),
    ],
)
def test_an_env_file_that_is_none_is_not_shown(tmp_path: Path, content: str, message: str | None) -> None:
    """A name is quoted only if most of the file is variables."""
    (tmp_path / "file").write_text(content)
    (tmp_path / "spec.yaml").write_text(f"env_file: file\n{TASKS}")
    if message is None:
        load.validate(tmp_path / "spec.yaml")
    else:
        text = told(tmp_path / "spec.yaml")
        assert message in text
        assert "hunter2" not in text


def test_the_spec_itself_may_be_a_pipe(tmp_path: Path) -> None:
    """`exp run <(program)` reads what the program writes."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(TASKS,))
    writer.start()
    assert load.validate(tmp_path / "pipe").name == "x"
    writer.join()
