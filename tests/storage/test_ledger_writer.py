"""The ledger's writer: what cannot be written now is written later, once and in order."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest
from support.schedules import schedule, task

from nemorun_cli.errors import LedgerError
from nemorun_cli.model.bounded_text import MAX_MESSAGE
from nemorun_cli.storage import events
from nemorun_cli.storage.ledger import Ledger, LedgerReader
from nemorun_cli.storage.ledger_writer import LedgerWriter
from nemorun_cli.system import signals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "ledger.jsonl", tmp_path / "ledger.lock")
    made.create({"event": "created", "id": "a_1", "time": "2026-01-01T00:00:00.000Z"})
    return made


@contextlib.contextmanager
def no_space(path: Path) -> Iterator[None]:
    """Let no file of this process grow beyond the size that this one has."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_failed_batch_is_kept_until_it_can_be_written(ledger: Ledger) -> None:
    """A failed write returns at once and is reported; the same events, and later ones, are written once."""
    reports: list[str] = []
    history = schedule(task("a"), task("b", 1)).history
    journal = LedgerWriter(ledger, history, by="test", report=reports.append)
    journal.open()
    journal.keeps_failed = True
    journal.note(events.SUBMITTED, task="a", attempt=1)
    with no_space(ledger.path):
        journal.flush()
        assert journal
        assert (journal.problem, journal.is_urgent) == (f"cannot write {ledger.path}: File too large", True)
        journal.flush()  # not due yet
        assert len(reports) == 1
        journal.keeps_failed = False
        with pytest.raises(LedgerError, match="File too large"):
            journal.flush()
    journal.note(events.SUBMITTED, task="b", attempt=1)
    journal.flush()
    assert not journal
    assert (journal.problem, journal.due, journal.is_urgent) == (None, None, False)
    written = [(event["event"], event.get("task")) for event in LedgerReader(ledger.path).read()]
    assert written == [("created", None), ("submitted", "a"), ("submitted", "b")]


def test_request_that_arrives_before_a_failed_write_counts(ledger: Ledger) -> None:
    """What a failed write has read is returned by the next read or write."""
    with contextlib.closing(Ledger(ledger.path, ledger.path.with_name("ledger.lock"))) as other:
        ledger.news()
        request = {"event": "cancel_requested", "tasks": ["a"]}
        other.append([request])
        with no_space(ledger.path), pytest.raises(LedgerError):
            ledger.append([{"event": "submitted"}])
        assert ledger.has_news()
        assert ledger.news() == [request]
        assert ledger.append([{"event": "submitted"}]) == [{"event": "submitted"}]
    ledger.close()


def test_signal_during_a_write_does_not_repeat_it(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that raises after a batch was written runs once the writer knows that."""

    class Terminated(BaseException):
        """What the handler of a supervisor raises."""

    def terminate(number: int, frame: object) -> None:
        del number, frame
        raise Terminated

    journal = LedgerWriter(ledger, schedule(task("a")).history, by="test", report=lambda _: None)
    journal.open()
    journal.keeps_failed = True
    sync = ledger.sync
    monkeypatch.setattr(ledger, "sync", lambda: (os.kill(os.getpid(), signal.SIGTERM), sync()))
    before = signal.getsignal(signal.SIGTERM)
    signals.handle(signal.SIGTERM, terminate)
    try:
        journal.note(events.SUBMITTED, task="a", attempt=1)
        with pytest.raises(Terminated):
            journal.flush()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not journal
    journal.flush()
    assert [event["event"] for event in LedgerReader(ledger.path).read()] == ["created", "submitted"]


def test_a_message_is_kept_to_a_bound(ledger: Ledger) -> None:
    """Of a message of megabytes its beginning and end are written; a secret is masked before it is cut."""
    secret = "s3cret-" * 4
    journal = LedgerWriter(ledger, schedule(task("a")).history, by="test", report=print, secrets={secret})
    journal.open()
    filler = "y" * (MAX_MESSAGE // 2 - 10)
    text = f"{filler}{secret}{filler * 99}end"
    journal.note(events.CANCEL_REQUESTED, tasks=["a"], reason="cancelled", message=text)
    journal.flush()
    event = LedgerReader(ledger.path).read()[-1]
    assert len(event["message"]) < 2 * MAX_MESSAGE
    assert event["message"].endswith("end")
    assert "s3cret" not in event["message"]
