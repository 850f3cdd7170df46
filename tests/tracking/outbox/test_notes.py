from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.replication.remote_errors import OF_ALL
from nemorun_cli.replication.sender import delivery
from nemorun_cli.tracking.outbox import markers, notes

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.tracking.outbox.markers import Outbox

URL = "https://exp.example.org"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """An outbox of a folder of records."""
    made = markers.of_records(str(tmp_path), URL)
    markers.prepare(made)
    return made


def test_a_note_is_read_as_it_was_written(outbox: Outbox) -> None:
    """Sizes, states and markers come back as they were written, also with names that are no text."""
    known = notes.Known({"metrics/a/\udcff.jsonl": 3}, {"labels/a.jsonl": (3, 2**62)})
    notes.acknowledge(outbox, "a/b", known)
    assert notes.acknowledged(outbox, "a/b") == known
    notes.write_state(outbox, {"pid": 1})
    assert notes.read_state(outbox) == {"pid": 1}
    markers.mark(outbox, "m", prefix="a/b", opening="0001")
    assert notes.marker_fields(markers.marker(outbox, "m")) == notes.MarkerFields("a/b", "0001", None)
    assert notes.marked(outbox, "prefix") == {"a/b"}
    assert notes.marked(outbox, "experiment") == set()
    assert notes.outbox_at(outbox.folder) == outbox


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[1]",
        b"[" * 100_000,
        b'{"prefix": "a/b", "files": 3, "format": 4, "url": 5}',
        b'{"prefix": "a/b", "files": {"a": "x", "b": true}, "whole": {"a": 1, "b": ["x", 2]}}',
    ],
)
def test_what_is_no_note_is_absent(outbox: Outbox, content: bytes) -> None:
    """Whatever is in a file of an outbox, its readers find nothing there, and do not fail."""
    markers.mark(outbox, "m", prefix="a/b")
    for name in (markers.acknowledged_file(outbox, "a/b"), outbox.state, outbox.server):
        os.makedirs(os.path.dirname(name), exist_ok=True)  # noqa: PTH103, PTH120 - a text
        with open(name, "wb") as stream:  # noqa: PTH123 - the same
            stream.write(content)
    with open(markers.marker(outbox, "m"), "wb") as stream:  # noqa: PTH123 - the same
        stream.write(content.replace(b"a/b", b"a/c"))
    assert notes.acknowledged(outbox, "a/b") in (None, ({}, {}))
    assert "pid" not in notes.read_state(outbox)
    assert notes.outbox_at(outbox.folder) is None
    assert notes.marked(outbox, "prefix") <= {"a/c"}


def test_each_outbox_is_found_once(outbox: Outbox, tmp_path: Path) -> None:
    """The outboxes of folders of records, of a home, and of the records in the home are listed once each."""
    home = tmp_path / "home"
    own = markers.of_home(str(home), URL)
    kept = markers.of_records(markers.in_home(str(home), URL), URL)
    for each in (own, kept):
        markers.prepare(each)
    roots = [str(tmp_path), str(tmp_path), str(home / "none")]
    assert sorted(delivery.every_outbox(roots, str(home))) == sorted([outbox, own, kept])


def test_programs_and_senders_have_the_same_codes() -> None:
    """The codes of errors that are about the server are names of faults."""
    assert {str(fault) for fault in OF_ALL} == notes.OF_ALL
