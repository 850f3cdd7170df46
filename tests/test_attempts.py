from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nemorun_cli import attempts
from nemorun_cli.home import AttemptFiles
from nemorun_cli.states import Reason, TaskStatus

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "text",
    ["", "rubbish", "[]", "null", "{}", '{"exit_code":null}', '{"exit_code":"0"}', '{"exit_code":true}'],
)
def test_what_is_no_exit_record_is_lost(tmp_path: Path, text: str) -> None:
    """An exit record that cannot be one is an end that nobody knows, and never a success."""
    files = AttemptFiles(tmp_path)
    files.exit.write_text(f"{text}\n")
    ending = attempts.read_ending(files)
    assert ending is not None
    assert (ending.status, ending.reason, ending.exit_code) == (TaskStatus.FAILED, Reason.LOST, None)


def test_half_an_exit_record_is_none_yet(tmp_path: Path) -> None:
    """A record without its line end is still being written."""
    files = AttemptFiles(tmp_path)
    assert attempts.read_ending(files) is None
    files.exit.write_text('{"exit_code":0}')
    assert attempts.read_ending(files) is None
