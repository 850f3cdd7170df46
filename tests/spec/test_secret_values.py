"""Secrets: had from where the spec says, all or none, and hidden in what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.hostile_files import limited, put

from nemorun_cli.errors import SpecError
from nemorun_cli.model import masking
from nemorun_cli.model.spec import Spec, Task
from nemorun_cli.spec import secret_values

if TYPE_CHECKING:
    from pathlib import Path


def spec(folder: Path, **sources: dict[str, Any]) -> Spec:
    task = Task(
        id="a", index=0, kind="inline", body=":", executor="local", workdir="/", secrets=tuple(sources)
    )
    return Spec(name="a", folder=str(folder), tasks=(task,), secrets=sources)


def test_each_source_gives_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment, a file, an env file and a command; a last newline is not part of it."""
    monkeypatch.setenv("OUTER", "one ")
    (tmp_path / "file").write_text("two\r\n")
    (tmp_path / ".env").write_text("D='three $X'\n")
    made = spec(
        tmp_path,
        A={"env": "OUTER"},
        B={"file": "file"},
        C={"command": ["printf", "four\\n\\n"]},
        D={"env_file": ".env"},
        E={"command": "printf 'a b'"},
    )
    assert secret_values.resolve(made) == {"A": "one ", "B": "two", "C": "four", "D": "three $X", "E": "a b"}
    assert secret_values.known(made) == {"A": "one ", "B": "two", "D": "three $X"}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"env": "NOT_SET"}, "NOT_SET is not set"),
        ({"file": "none"}, "No such file"),
        ({"file": "."}, "directory"),
        ({"env_file": "none"}, "does not set X"),
        ({"command": ["no-such-program"]}, "cannot be run"),
        ({"command": ["sh", "-c", "echo oops; exit 3"]}, "exit code 3"),
        ({"command": ["true"]}, "printed nothing"),
        ({"command": ["printf", "\\377"]}, "utf-8"),
    ],
)
def test_what_cannot_be_had_says_why_and_shows_nothing(
    tmp_path: Path, source: dict[str, Any], told: str
) -> None:
    """Each problem names its secret, its source and the trouble, and never what a command printed."""
    with pytest.raises(SpecError) as caught:
        secret_values.resolve(spec(tmp_path, X=source))
    (problem,) = caught.value.problems
    assert told in problem.message
    assert problem.path == "secrets.X"
    assert "oops" not in problem.message


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    """Nobody has to try once a secret."""
    with pytest.raises(SpecError) as caught:
        secret_values.resolve(spec(tmp_path, X={"env": "NOT_SET"}, Y={"file": "none"}))
    assert len(caught.value.problems) == 2


def test_only_what_a_task_gets_is_resolved(tmp_path: Path) -> None:
    """A secret that no task names is not asked for."""
    made = Spec(
        name="a", folder=str(tmp_path), tasks=(), secrets={"X": {"command": ["touch", str(tmp_path / "ran")]}}
    )
    assert secret_values.resolve(made) == {}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        ("a secret-value b", ["secret-value"], "a *** b"),
        ("secret-valuesecret-value", ["secret-value"], "******"),
        ("short", ["short"], "short"),
        ("first-line\nand then second-line", ["first-line\nsecond-line"], "***\nand then ***"),
        ("abcdefgh", ["abcdef", "abcdefgh"], "***"),
        ("nothing", ["", "\n"], "nothing"),
    ],
)
def test_mask_hides_what_is_known(text: str, values: list[str], shown: str) -> None:
    """Values of six characters and more are hidden wherever they stand, the longest first."""
    assert masking.mask(text, values) == shown


@pytest.mark.parametrize("key", ["file", "env_file"])
@pytest.mark.parametrize("kind", ["a FIFO", "a link to /dev/zero", "a socket", "a huge file"])
def test_only_a_small_regular_file_holds_a_secret(tmp_path: Path, key: str, kind: str) -> None:
    """Anything else is neither waited for nor read: readers mask nothing, and a start is refused."""
    put(tmp_path / "file", kind, secret=tmp_path)
    with limited(kind):
        assert secret_values.known(spec(tmp_path, A={key: "file"})) == {}
    with limited(kind), pytest.raises(SpecError, match="cannot be read: it is"):
        secret_values.resolve(spec(tmp_path, A={key: "file"}))
