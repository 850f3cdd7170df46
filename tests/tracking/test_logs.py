from __future__ import annotations

import errno
import io
import logging
import sys
from typing import TYPE_CHECKING

import pytest
from support.programs import PATIENCE

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


class BrokenStream(io.StringIO):
    """A stream each of whose calls raises the same error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, _: str) -> int:
        """Take nothing."""
        raise self.error

    isatty = flush = write  # type: ignore[assignment] # what is tested


BROKEN = [
    BrokenStream(BrokenPipeError()),
    BrokenStream(OSError(errno.ENOSPC, "full")),
    BrokenStream(ValueError("I/O operation on closed file")),
    BrokenStream(ZeroDivisionError()),
    object(),
    None,
]


@pytest.mark.parametrize("stream", BROKEN, ids=lambda stream: type(getattr(stream, "error", stream)).__name__)
@pytest.mark.parametrize("level", ["info", "error"])
def test_a_stream_that_takes_no_line_ends_nothing(
    level: str, stream: object, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Printing is a courtesy: whatever a stream raises, the line is in the record and the program goes on."""
    monkeypatch.setattr(sys, "stderr" if level == "error" else "stdout", stream)
    with Experiment("a", dash_root=root).run as experiment:
        experiment.log("kept", level)
    assert [line["message"] for line in experiment.logs.read()] == ["kept"]
    assert experiment.status == "COMPLETED"


LOGGING = """
e = Experiment('a', dash_root=root)
with e.run:
    {before}
    for number in range(2000):
        e.log('x' * 100, number=number)
    e.metrics('m').log(x=1)
    print('done', file=sys.stderr)
"""


@pytest.mark.parametrize(
    "before", ["pass", "sys.stdout.close()", "os.close(1)", "os.close(0)\n    os.close(1)"]
)
def test_a_reader_that_ended_does_not_end_the_program(before: str, program: Program, root: Path) -> None:
    """After `| head`, and with a closed stdout, the program ends with 0 and says nothing about it."""
    process = program.start(LOGGING.format(before=before))
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == "done\n"
    assert process.wait(timeout=PATIENCE) == 0
    experiment = Experiment("a", dash_root=root)
    assert (experiment.status, len(experiment.logs.read())) == ("COMPLETED", 2000)
    assert [row["x"] for row in experiment.metrics("m").read()] == [1]


def test_what_the_program_prints_itself_is_its_own_matter(program: Program, root: Path) -> None:
    """A `print` of the program still fails where its reader ended; its order among the lines is kept."""
    text = "print('mine'); e = Experiment('a', dash_root=root); e.run.start(); e.log('line'); print('again')"
    assert program.run(text) == "mine\n[INFO] line\nagain\n"
    process = program.start(text)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=PATIENCE) != 0
    assert [line["message"] for line in Experiment("a", dash_root=root).logs.read()] == ["line", "line"]


def test_a_forked_child_prints_nothing_twice(program: Program) -> None:
    """A line of a forked child does not print what the parent had not flushed yet."""
    text = """
    with Experiment('a', dash_root=root).run as e:
        sys.stdout.write('once ')
        if os.fork() == 0:
            e.log('child')
            os._exit(0)
        os.wait()
    """
    assert program.run(text).count("once") == 1


class Unprintable:
    """A value without a text."""

    def __str__(self) -> str:
        raise KeyError("text")


def test_a_message_without_a_text_fails_the_call(experiment: Experiment) -> None:
    """A message whose `__str__` raises is a TypeError of that call, and nothing is written."""
    with pytest.raises(TypeError, match=r"str\(\) of Unprintable raised KeyError"):
        experiment.log(Unprintable())
    experiment.log("next")
    assert [line["message"] for line in experiment.logs.read()] == ["next"]


def test_logging_does_not_raise_where_stderr_is_closed(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A logger whose line cannot be recorded reports it on stderr, and goes on if that is closed."""
    handler = experiment.logs.handler()
    experiment.run.complete()
    monkeypatch.setattr(sys, "stderr", BrokenStream(ValueError("I/O operation on closed file")))
    handler.handle(logging.LogRecord("x", logging.INFO, "file.py", 1, "late", (), None))
    experiment.run.start()


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
