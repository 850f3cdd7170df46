"""The result of an attempt: outputs that contain a secret are refused, and no message quotes one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.model import attempt_end
from nemorun_cli.scheduler.attempt_result import conclude

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = {"TOKEN": 'a"b\\secret', "PIN": "123456", "SHORT": "42", "PADDED": "c2VjcmV0MTIz=="}


def message(path: Path, text: str, *, are_known: bool = True) -> str | None:
    """The message of the result of an attempt that wrote this and exited with 0."""
    path.write_text(text)
    ending = conclude(
        attempt_end.from_exit_code(0),
        sent=None,
        requested=None,
        written=path,
        inside=path.parent,
        secrets=SECRETS,
        are_known=are_known,
    )
    assert ending.status == ("FAILED" if ending.message else "SUCCEEDED")
    return ending.message


@pytest.mark.parametrize(
    "text",
    [
        f"k={SECRETS['TOKEN']}",
        f"k=before {SECRETS['TOKEN']} after",
        f"k={json.dumps(SECRETS['TOKEN'])}",
        f"k:={json.dumps([{'deep': 'x' + SECRETS['TOKEN']}])}",
        f"k:={json.dumps({SECRETS['TOKEN']: 1})}",
        f"k<<END\none\n{SECRETS['TOKEN']}\nEND",
        "k:=123456",
        "k=v123456",
        "k=42",
        "c2VjcmV0MTIz==",
    ],
)
def test_an_output_with_a_secret_is_refused(tmp_path: Path, text: str) -> None:
    """Equal, within a text, as a key, as JSON, as a number, or as a line that looks like an output."""
    told = message(tmp_path / "outputs", text)
    assert told is not None
    assert "is or contains the value of a secret" in told
    assert not [value for value in SECRETS.values() if value in told or value[:6] in told]


@pytest.mark.parametrize(
    "text", ["k=a", "k:=42", "k:=1234567", "k:=0.123456", "k:=true", "k=x42", "k:=[42, null]"]
)
def test_other_outputs_are_accepted(tmp_path: Path, text: str) -> None:
    """Digits within a number, and short numbers, are too often the same by chance."""
    assert message(tmp_path / "outputs", text) is None


def test_a_line_that_is_no_output_is_quoted_without_secrets(tmp_path: Path) -> None:
    """Also where the line is cut; without all values at hand, nothing of it is quoted."""
    line = "x" * 50 + " " + SECRETS["TOKEN"]
    told = message(tmp_path / "outputs", line)
    assert told is not None
    assert f"line 1: '{'x' * 50} ***' is not an output" in told
    assert "line 1: '***' is not" in (message(tmp_path / "outputs", line, are_known=False) or "")
