"""The ledger: batches closed by markers; what is torn is passed over, what is damaged is told."""

from __future__ import annotations

import json
import multiprocessing
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import filelock
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount
from support.hostile_files import limited

from nemorun_cli.errors import LedgerDamagedError, LedgerError, LedgerNewerError, LockHeldError, NotFoundError
from nemorun_cli.storage.ledger import FORMAT, MOST_LINES, Ledger, LedgerReader, encode, read_settled

CREATED = {"event": "created", "id": "a_1", "name": "a", "time": "2026-11-22T03:11:33.120Z"}
BATCHES = [
    [{"event": "submitted", "task": "a", "n": 1}, {"event": "started", "task": "a", "n": 2}],
    [{"event": "ended", "task": "a", "text": 'line\n"quoted" {"mark":1,"crc":0} ünïcode'}],
    [{"event": "finished", "n": 4}],
]


def make(folder: Path, batches: list[list[dict[str, Any]]] = BATCHES) -> Ledger:
    ledger = Ledger(folder / "ledger.jsonl", folder / "ledger.lock")
    ledger.create(CREATED)
    for batch in batches:
        ledger.append(batch)
    ledger.close()
    return ledger


def append(path: Path, lock: Path, batch: list[dict[str, Any]]) -> None:
    """Write one batch as another process would."""
    with closing(Ledger(path, lock)) as ledger:
        ledger.append(batch)


def first() -> dict[str, Any]:
    return {**CREATED, "format": FORMAT}


def everything(batches: list[list[dict[str, Any]]] = BATCHES) -> list[dict[str, Any]]:
    return [first(), *(event for batch in batches for event in batch)]


def ends(data: bytes) -> list[int]:
    """Where each batch ends."""
    lines, position, found = data.splitlines(keepends=True), 0, []
    for line in lines:
        position += len(line)
        if b'"mark"' in line[:8]:
            found.append(position)
    return found


def test_events_come_back_as_they_were_appended(tmp_path: Path) -> None:
    """What was appended is read back in order, whatever its texts hold."""
    make(tmp_path)
    assert LedgerReader(tmp_path / "ledger.jsonl").read() == everything()


def test_reader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A second reading gives only what was appended since the first."""
    ledger = make(tmp_path, [])
    reader = LedgerReader(ledger.path)
    assert reader.read() == [first()]
    assert reader.read() == []
    ledger.append(BATCHES[0])
    assert reader.read() == BATCHES[0]


def test_writer_learns_what_others_wrote(tmp_path: Path) -> None:
    """An append gives back the events that other writers put before its own, then its own."""
    one = make(tmp_path, [])
    other = Ledger(one.path, tmp_path / "ledger.lock")
    other.append(BATCHES[0])
    assert one.append(BATCHES[1]) == [first(), *BATCHES[0], *BATCHES[1]]
    assert not one.has_news()
    assert one.news() == []
    assert other.has_news()


def test_create_refuses_to_begin_again(tmp_path: Path) -> None:
    """A ledger that exists is never begun anew."""
    ledger = make(tmp_path)
    with pytest.raises(LedgerError, match="already exists"):
        ledger.create(CREATED)
    assert LedgerReader(ledger.path).read() == everything()


def test_files_are_private(tmp_path: Path) -> None:
    """The ledger and its lock can be read by their owner alone."""
    make(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_missing_ledger_is_not_found(tmp_path: Path) -> None:
    """A ledger that is not there is told as that, and not as an empty one."""
    with pytest.raises(NotFoundError, match="no ledger"):
        LedgerReader(tmp_path / "ledger.jsonl").read()


def test_tear_at_every_byte_loses_nothing_before_the_last_marker(tmp_path: Path) -> None:
    """Wherever a crash cuts it, the reader passes over the torn tail and the next writer closes it off."""
    data = make(tmp_path).path.read_bytes()
    markers = ends(data)
    path = tmp_path / "torn.jsonl"
    late = {"event": "late"}
    for cut in range(markers[0], len(data)):
        path.write_bytes(data[:cut])
        whole = sum(end <= cut for end in markers)
        kept = everything(BATCHES[: whole - 1])
        reader = LedgerReader(path)
        assert reader.read() == kept, cut
        assert reader.torn == cut - markers[whole - 1]
        append(path, tmp_path / "torn.lock", [late])
        after = LedgerReader(path)
        assert after.read() == [*kept, late], cut
        assert after.voids == (reader.torn > 0)
        assert path.read_bytes()[:cut] == data[:cut], "a torn tail is closed off, not overwritten"


def test_tear_of_a_closed_off_tail_is_closed_off_again(tmp_path: Path) -> None:
    """A crash while a torn tail is being closed off costs nothing either."""
    ledger = make(tmp_path)
    with ledger.path.open("ab") as stream:
        stream.write(b'{"event":"half')
    torn = ledger.path.read_bytes()
    append(ledger.path, tmp_path / "ledger.lock", [{"event": "late"}])
    data = ledger.path.read_bytes()
    path = tmp_path / "again.jsonl"
    for cut in range(len(torn), len(data)):
        path.write_bytes(data[:cut])
        assert LedgerReader(path).read() == everything()
        append(path, tmp_path / "again.lock", [{"event": "later"}])
        assert LedgerReader(path).read() == [*everything(), {"event": "later"}]


def test_cut_within_the_first_batch_is_an_error(tmp_path: Path) -> None:
    """A ledger comes into being whole, so one without its beginning is damaged and never taken for empty."""
    data = make(tmp_path).path.read_bytes()
    path = tmp_path / "cut.jsonl"
    for cut in range(ends(data)[0]):
        path.write_bytes(data[:cut])
        with pytest.raises(LedgerDamagedError):
            LedgerReader(path).read()
        with pytest.raises(LedgerDamagedError):
            append(path, tmp_path / "cut.lock", [{"event": "late"}])
        assert path.read_bytes() == data[:cut], "nothing is overwritten"


@pytest.mark.parametrize(
    "change", [lambda byte: byte ^ 1, lambda byte: byte ^ 32, lambda _: 10, lambda _: 48]
)
def test_damage_at_every_byte_is_told(tmp_path: Path, change: Any) -> None:
    """A byte that is not what was written is an error, or makes the last batch a torn tail."""
    data = make(tmp_path).path.read_bytes()
    last = ends(data)[-2]
    path = tmp_path / "damaged.jsonl"
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] = change(damaged[at])
        if damaged == data:
            continue
        path.write_bytes(damaged)
        if at >= last:
            assert LedgerReader(path).read() == everything(BATCHES[:-1]), at
        else:
            with pytest.raises((LedgerDamagedError, LedgerNewerError)) as caught:
                LedgerReader(path).read()
            assert str(path) in caught.value.message
            with pytest.raises((LedgerDamagedError, LedgerNewerError)):
                append(path, tmp_path / "damaged.lock", [{"event": "late"}])
            assert path.read_bytes() == damaged, "nothing is overwritten"


def test_damage_names_its_line(tmp_path: Path) -> None:
    """The error of a damaged ledger says in which line it is."""
    ledger = make(tmp_path)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    lines[3] = b"\x00" * 20 + b"\n"
    ledger.path.write_bytes(b"".join(lines))
    with pytest.raises(LedgerDamagedError, match=r"ledger\.jsonl:4: "):
        LedgerReader(ledger.path).read()


def test_damage_before_a_closed_off_tail_is_told(tmp_path: Path) -> None:
    """A tail that was closed off does not hide damage of what stood before it."""
    ledger = make(tmp_path)
    size = ledger.path.stat().st_size
    with ledger.path.open("ab") as stream:
        stream.write(b'{"event":"half')
    append(ledger.path, tmp_path / "ledger.lock", [{"event": "late"}])
    data = bytearray(ledger.path.read_bytes())
    data[size - 30] ^= 1
    ledger.path.write_bytes(data)
    with pytest.raises(LedgerDamagedError):
        LedgerReader(ledger.path).read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b'{"event": "created"}\n',
        b'{"status": "SUCCEEDED"}\n{"status": "FAILED"}\n',
        b"[1, 2]\n",
        b"null\n",
        b"\x7fELF\x02\x01\x01" + bytes(200),
        b"name: not json\n",
        b"[" * 100_000 + b"\n",
        "ünïcode".encode("utf-16"),
        b'{"void":0}\n',
        b'{"mark":0,"crc":0}\n',
        b'{"mark":true,"crc":null}\n',
        encode([{"event": "created"}]),
        encode([{"event": "created", "format": "other/1"}]),
    ],
)
def test_foreign_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """What is no ledger of ours is an error for readers and writers, and stays as it is."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(content)
    with pytest.raises(LedgerDamagedError):
        LedgerReader(path).read()
    with pytest.raises(LedgerDamagedError):
        append(path, tmp_path / "ledger.lock", [{"event": "late"}])
    assert path.read_bytes() == content


def test_newer_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A ledger of a newer version is told as that, even if it closes its batches in another way."""
    path = tmp_path / "ledger.jsonl"
    for content in (
        encode([{"event": "created", "format": "exp.ledger/2"}]),
        b'{"format":"exp.ledger/99","n":1}\n{}\n',
    ):
        path.write_bytes(content)
        with pytest.raises(LedgerNewerError, match="newer"):
            LedgerReader(path).read()
        with pytest.raises(LedgerNewerError):
            append(path, tmp_path / "ledger.lock", [{"event": "late"}])
        assert path.read_bytes() == content


def test_released_ledgers_are_still_read() -> None:
    """A ledger of each released version is read as it was then."""
    for path in sorted((Path(__file__).parents[1] / "ledgers").glob("*.jsonl")):
        events = LedgerReader(path).read()
        assert [event["event"] for event in events][:2] == ["created", "supervisor_started"]
        assert events[-1]["event"] == "supervisor_ended"


def test_ledger_that_shrinks_under_its_reader_is_an_error(tmp_path: Path) -> None:
    """Whoever has read more than is left says so, and writes nothing."""
    ledger = make(tmp_path)
    ledger.news()
    data = ledger.path.read_bytes()
    os.truncate(ledger.path, ends(data)[1])
    with pytest.raises(LedgerDamagedError, match="was truncated"):
        ledger.append([{"event": "late"}])
    assert ledger.path.read_bytes() == data[: ends(data)[1]]


def test_lock_that_is_held_names_its_holder(tmp_path: Path) -> None:
    """A writer waits for the lock only so long, then says who has it; nothing is written."""
    ledger = make(tmp_path)
    data = ledger.path.read_bytes()
    with filelock.FileLock(tmp_path / "ledger.lock"):
        waiting = Ledger(ledger.path, tmp_path / "ledger.lock", lock_wait=0.05)
        with pytest.raises(LockHeldError, match=rf"pid {os.getpid()} "):
            waiting.append([{"event": "late"}])
    assert ledger.path.read_bytes() == data


def test_settled_reading_waits_for_a_write_that_is_under_way(tmp_path: Path) -> None:
    """A tail that stays torn is reported with its size, and one that does not is read."""
    ledger = make(tmp_path, batches := [[{"event": "supervisor_ended", "time": CREATED["time"]}]])
    with ledger.path.open("ab") as stream:
        stream.write(b'{"event":"half')
    events, reader = read_settled(ledger.path, patience=0.02)
    assert events == everything(batches)
    assert reader.torn == len(b'{"event":"half')


def _write(folder: Path, writer: int, count: int) -> None:
    ledger = Ledger(folder / "ledger.jsonl", folder / "ledger.lock")
    for number in range(count):
        batch = [
            {"event": "x", "writer": writer, "n": number, "part": part} for part in range(writer % 3 + 1)
        ]
        ledger.append(batch)


def _read(folder: Path, stop: Any, result: Any) -> None:
    reader, seen = LedgerReader(folder / "ledger.jsonl"), 0
    while not stop.is_set():
        batch = reader.read()
        seen += len(batch)
        if any(event.get("part", 0) >= event.get("writer", 1) % 3 + 1 for event in batch):
            result.put("torn")
            return
    result.put(seen + len(reader.read()))


def test_sixteen_writers_and_constant_readers_lose_nothing(tmp_path: Path) -> None:
    """Every event of sixteen writers is there once, in order, and no reader saw a torn batch."""
    make(tmp_path, [])
    fork = multiprocessing.get_context("fork")
    stop, results = fork.Event(), fork.Queue()
    readers = [fork.Process(target=_read, args=(tmp_path, stop, results)) for _ in range(2)]
    writers = [fork.Process(target=_write, args=(tmp_path, number, 20)) for number in range(16)]
    for process in (*readers, *writers):
        process.start()
    for process in writers:
        process.join()
        assert process.exitcode == 0
    stop.set()
    expected = 1 + sum(20 * (number % 3 + 1) for number in range(16))
    assert [results.get(timeout=20) for _ in readers] == [expected] * 2
    for process in readers:
        process.join()
    events = LedgerReader(tmp_path / "ledger.jsonl").read()[1:]
    for writer in range(16):
        own = [(event["n"], event["part"]) for event in events if event["writer"] == writer]
        assert own == [(number, part) for number in range(20) for part in range(writer % 3 + 1)]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=amount(50, long=2000))
@given(st.lists(st.lists(st.dictionaries(st.text(), VALUES, max_size=3), min_size=1, max_size=3), max_size=4))
def test_any_event_survives_its_way_through_a_batch(batches: list[list[dict[str, Any]]]) -> None:
    """No text in an event, not even one that looks like a marker, is taken for part of the form."""
    kept = [[{"event": "x", "data": event} for event in batch] for batch in batches]
    data = encode([first()]) + b"".join(encode(batch) for batch in kept)
    reader = LedgerReader(Path("unused"))
    assert reader._completed_events(data) == [first(), *(event for batch in kept for event in batch)]
    assert reader.torn == 0
    assert json.loads(data.splitlines()[0]) == first()


def test_a_ledger_with_too_many_lines_is_refused(tmp_path: Path) -> None:
    """Lines without content would take time and memory out of all proportion to their size."""
    path = tmp_path / "ledger.jsonl"
    Ledger(path, tmp_path / "lock").create(CREATED)
    with path.open("ab") as stream:
        stream.write(b"\n" * (MOST_LINES + 1))
    with limited("a ledger"), pytest.raises(LedgerError, match="more than 5,000,000 lines"):
        LedgerReader(path).read()
