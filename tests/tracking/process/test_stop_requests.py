"""`should_stop`: which signals it answers, and how they act after the last record has closed."""

from __future__ import annotations

import os
import subprocess
import sys


def run(text: str, *, code: int = 0, **env: str) -> str:
    """What a program prints that tracks to a folder of its own; it must end with this code."""
    begin = "import os, signal, threading, warnings\nfrom nemorun_cli import Experiment\nhere = os.getpid()\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + text],
        env={**os.environ, "EXP_TRACKING": "off", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_the_stop_signal_is_an_answer_until_the_record_closes() -> None:
    """The task's signal and TERM only change the answer; without an open record they end the program."""
    text = """
record = Experiment("me/a/b").run.start()
print(record.should_stop())
os.kill(here, signal.SIGUSR1)
os.kill(here, signal.SIGTERM)
print(record.should_stop(), record.should_stop())
if (child := os.fork()) == 0:
    os.kill(os.getpid(), signal.SIGTERM)
print(os.WTERMSIG(os.waitpid(child, 0)[1]))
record.run.complete()
print("closed", flush=True)
os.kill(here, signal.SIGTERM)
"""
    assert run(text, code=-15, EXP_STOP_SIGNAL="USR1").split() == ["False", "True", "True", "15", "closed"]


def test_a_handler_of_the_program_is_called_too() -> None:
    """Its own handler is not replaced without being called, and it is back afterwards."""
    text = """
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
with Experiment("me/a/b").run as record:
    record.should_stop()
    os.kill(here, signal.SIGTERM)
    print(record.should_stop())
os.kill(here, signal.SIGTERM)
"""
    assert run(text).split() == ["handled", "True", "handled"]


def test_another_thread_cannot_ask_first() -> None:
    """Only the main thread can receive signals: elsewhere the first call warns and is false."""
    text = """
with Experiment("me/a/b").run as record, warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    thread = threading.Thread(target=lambda: print(record.should_stop()))
    thread.start()
    thread.join()
    print(caught[0].category.__name__)
"""
    assert run(text).split() == ["False", "RuntimeWarning"]


def test_a_signal_that_nobody_can_handle_is_left_out() -> None:
    """A variable with that of KILL, or with no signal, raises nothing."""
    text = """
for name in ("KILL", "NONE", ""):
    os.environ["EXP_STOP_SIGNAL"] = name
    with Experiment("me/a/b").run as record:
        print(record.should_stop())
"""
    assert run(text).split() == ["False"] * 3
