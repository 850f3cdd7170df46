from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from pathlib import Path

    from support.programs import Program


def test_lines_are_printed_as_ml_dash_prints_them(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines go to stdout, errors to stderr, with level and values; turned off, nothing is printed."""
    with Experiment("a", dash_root=root).run as experiment:
        experiment.log("started")
        experiment.log("epoch", metadata={"loss": 0.5}, epoch=1)
        experiment.logs.error("bad")
        experiment.logs.prints = False
        experiment.log("quiet")
    assert tuple(capsys.readouterr()) == (
        "[INFO] started\n[INFO] epoch [loss=0.5, epoch=1]\n",
        "[ERROR] bad\n",
    )
    assert len(experiment.logs.read()) == 4


def test_five_levels(experiment: Experiment) -> None:
    """debug, info, warn, error and fatal, in any case, and Python's names for two of them; no other."""
    logs = experiment.logs
    for write in (logs.debug, logs.info, logs.warn, logs.error, logs.fatal):
        write("x", key=1)
    experiment.log("x", level="WARNING")
    experiment.log("x", "critical")
    levels = [line["level"] for line in logs.read()]
    assert levels == ["debug", "info", "warn", "error", "fatal", "warn", "fatal"]
    with pytest.raises(UsageError, match=r"'loud'.*debug, info, warn, error, fatal"):
        experiment.log("x", level="loud")


def test_lines_are_found_again(experiment: Experiment) -> None:
    """Lines are filtered by level and above, text, pattern, time, and from the end."""
    for number in range(20):
        experiment.log(f"line {number}", level="error" if number % 5 == 0 else "info", number=number)
    read = experiment.logs.read

    def numbers(**how: object) -> list[int]:
        return [line["metadata"]["number"] for line in read(**how)]  # type: ignore[arg-type] # each line gives what fits

    assert numbers(level="warn") == [0, 5, 10, 15]
    assert numbers(level="warn", tail=1) == [15]
    assert numbers(tail=2) == [18, 19]
    assert numbers(tail=0) == []
    assert numbers(contains="line 1", tail=3) == [17, 18, 19]
    assert numbers(grep=r"\b[37]$") == [3, 7]
    moment = read()[10]["_ts"]
    assert 10 in numbers(time=(moment, None))
    assert 5 not in numbers(time=(moment, None))


def test_any_text_is_one_line(experiment: Experiment) -> None:
    """Line breaks, control characters and odd Unicode come back as they were."""
    text = "a\nb\r\0\x1b[31m\u2028 🎉 \ud800 é"
    experiment.log(text)
    assert experiment.logs.read()[0]["message"] == text


def test_bad_metadata_fails_the_call(experiment: Experiment) -> None:
    """What cannot be recorded is neither written nor printed."""
    with pytest.raises(TypeError, match="bad"):
        experiment.log("x", bad=object())
    assert experiment.logs.read() == []


def test_console_that_cannot_show_a_character_gets_it_escaped(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A console in ASCII, or none at all, stops no training."""
    raw = io.BytesIO()
    experiment.logs.prints = True
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    experiment.log("é")
    sys.stdout.flush()
    assert raw.getvalue() == b"[INFO] \\xe9\n"
    monkeypatch.setattr(sys, "stdout", None)
    experiment.log("x")
    assert len(experiment.logs.read()) == 2


def test_logging_handler_sends_lines_here(experiment: Experiment) -> None:
    """A logger's lines are here with level, time and logger; what cannot be written is not raised."""
    logger = logging.getLogger("my.training")
    handler = experiment.logs.handler(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        logger.debug("hidden")
        logger.warning("loss is %s", 3)
        logger.critical("stop")
        experiment.run.complete()
        before, logging.raiseExceptions = logging.raiseExceptions, False
        logger.error("after the end")
        logging.raiseExceptions = before
    finally:
        logger.removeHandler(handler)
    first, second = experiment.logs.read()
    assert (first["level"], first["message"], first["metadata"]) == (
        "warn",
        "loss is 3",
        {"logger": "my.training"},
    )
    assert second["level"] == "fatal"
    experiment.run.start()


def test_closed_pipe_loses_no_line(program: Program, root: Path) -> None:
    """A line is in the record before it is printed."""
    text = """
    with Experiment('a', dash_root=root).run as e:
        sys.stdout.close()
        try:
            e.log('kept')
        except ValueError:
            pass
    """
    program.run(text)
    assert Experiment("a", dash_root=root).logs.read()[0]["message"] == "kept"


def test_a_line_does_not_rewrite_a_terminal(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a line keeps its colours and loses all other sequences; a file gets it as it is."""
    text = "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J\u202e"
    for is_terminal, shown in ((True, "\x1b[31mred\x1b[0m"), (False, text)):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda is_terminal=is_terminal: is_terminal)
        monkeypatch.setattr(sys, "stdout", stream)
        with Experiment("a", dash_root=root).run as experiment:
            experiment.log(text)
        assert stream.getvalue() == f"[INFO] {shown}\n"
