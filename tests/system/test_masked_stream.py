"""A stream that hides secrets in what a program prints, line by line."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from nemorun_cli.system.masked_stream import LONGEST_LINE, MaskedStream, masked_output

if TYPE_CHECKING:
    import pytest


def test_a_secret_in_several_writes_is_hidden() -> None:
    """What is written is kept until its line is complete, whatever is flushed between."""
    written = io.StringIO()
    stream = MaskedStream(written, ["secret1"])
    assert stream.write("it is sec") == 9
    stream.flush()
    assert written.getvalue() == ""
    stream.write("ret1\nnext")
    assert written.getvalue() == "it is ***\n"
    stream.finish()
    assert written.getvalue() == "it is ***\nnext"


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    """A long line is written before it ends."""
    written = io.StringIO()
    MaskedStream(written, ["secret1"]).write("x" * (LONGEST_LINE + 1))
    assert len(written.getvalue()) == LONGEST_LINE + 1


def test_both_outputs_are_masked_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output and error are, until the end of the block."""
    before = sys.stdout, sys.stderr
    with masked_output(["secret1"]):
        sys.stdout.write("secret1")
        sys.stderr.write("secret1\n")
    assert (sys.stdout, sys.stderr) == before
    assert tuple(capsys.readouterr()) == ("***", "***\n")
