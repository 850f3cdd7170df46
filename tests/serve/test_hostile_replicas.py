"""What any sender may have pushed into a replica: no list and no view of anybody fails because of it."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.extent import amount
from support.hostile_values import MARK, RAW, VALUES, dumped, pointers, replaced
from support.view_sites import Reader, collector, reading, replica

from nemorun_cli.serve.live_topics import ListTopic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORDS: Final = "/v1/views/records"
EXPERIMENTS: Final = "/v1/views/experiments"
TIME: Final = "2026-01-01T00:00:00.000Z"
OPENED: Final[dict[str, Any]] = {
    "event": "opened", "format": "exp.record/1", "time": TIME, "prefix": "alice/x", "locked": True,
    "supervised": False, "description": "about", "tags": ["one"], "bindrs": ["b"], "metadata": {"a": 1},
    "dash_url": "https://far", "pulled": False, "file": [1, 2], "exp_id": "t_1", "task": "a", "attempt": 1,
    "host": "far", "boot": "b", "pid": 1, "process_started": 1.0, "user": "alice", "folder": "/x",
    "home": "/h", "git": {"commit": "c"},
}  # fmt: skip
ENDED: Final = {
    "event": "ended",
    "time": TIME,
    "status": "FAILED",
    "reason": "r",
    "message": "m",
    "exit_code": 1,
}
VERDICT: Final = {**ENDED, "event": "closed"}
LABELS: Final = {"_ts": 1.5, "by": "alice", "noted": "n", "tagged": {"added": ["two"], "removed": []}}
SAVED: Final = {
    "_ts": 1.5,
    "saved": {
        "id": "1", "path": "models", "filename": "a.txt", "sizeBytes": 1, "checksum": "0" * 64,
        "contentType": "text/plain", "description": "d", "tags": ["t"], "metadata": {"a": 1},
        "uploadedAt": TIME, "bindrs": ["b"],
    },
}  # fmt: skip
LOG: Final = {"_ts": 1.5, "level": "info", "message": "m", "metadata": {"a": 1}}
PARAMS: Final = {"_ts": 1.5, "set": {"lr": 0.1}, "unset": ["x"]}
METRIC: Final = {"_ts": 1.5, "step": 1, "loss": 0.5}
TRACK: Final = {"_ts": 1.5, "x": 0.5}
OPENING: Final = "openings/0001-x-1.jsonl"
PARTS: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    OPENING: (OPENED, ("", "/openings", "/environment", "/curve?x=relative", "/files")),
    f"{OPENING} ended": (ENDED, ("", "/openings")),
    "openings/0001-x-1.verdict.json": (VERDICT, ("", "/openings")),
    "labels/0001-x-1.jsonl": (LABELS, ("", "/openings")),
    "files/0001-x-1.jsonl": (SAVED, ("/files", "/files?versions=1", f"/contents/{'0' * 64}")),
    "logs/0001-x-1.jsonl": (LOG, ("/logs", "/logs?level=info&contains=m")),
    "params/0001-x-1.jsonl": (PARAMS, ("/params",)),
    "metrics/m/0001-x-1.jsonl": (METRIC, ("/metrics", "/metrics?last=all", "/curve", "/curve?x=time")),
    "tracks/t/0001-x-1.jsonl": (TRACK, ("/tracks?topic=t",)),
}
"""What is forged: the file of a record, a right line of it, and the views that read it."""


def forged(document: Any) -> Iterator[str]:
    """The document with each value, and each text that is hardly JSON, at each of its places."""
    for place in pointers(document):
        for value in VALUES:
            yield dumped(replaced(document, place, value))
        for raw in RAW:
            yield dumped(replaced(document, place, MARK), raw)
    yield dumped({**document, "\ud800": {"\udcff": "\ud800"}})
    yield "[" * 100_000


def write(root: Path, prefix: str, part: str, line: str) -> None:
    """A record whose files are right but for one line."""
    rows = {"m": [{"step": 0, "loss": 1.0}]}
    folder = replica(root, prefix, end=None if part.endswith("ended") else "COMPLETED", rows=rows)
    path = folder / part.partition(" ")[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "w" if part.startswith("openings") and not part.endswith("ended") else "a"
    with path.open(mode, encoding="utf-8", errors="surrogatepass") as stream:
        stream.write(f"{line}\n")
        if part == "openings/0001-x-1.jsonl":
            stream.write(f"{json.dumps(ENDED)}\n")


def without_constants(text: str) -> Any:
    """The document of an answer, as a browser reads it."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def check(alice: Reader, path: str) -> None:
    """Require an answer that is a document, or an error that the server means."""
    answer = alice.get(path, code=None)
    assert answer.status_code < 500, f"{path}: {answer.text[:300]}"
    without_constants(answer.text)


@pytest.mark.parametrize("part", PARTS)
def test_no_record_breaks_a_list_or_its_own_views(tmp_path: Path, part: str) -> None:
    """With any value in any field of a record's files, the lists have all records, and no view fails."""
    document, views = PARTS[part]
    lines = [*forged(document)]
    chosen = random.Random(part).sample(lines, min(len(lines), amount(40, long=10_000)))  # noqa: S311 - repeatable
    for number, line in enumerate(chosen):
        write(tmp_path, f"alice/p/r{number}", part, line)
    replica(tmp_path, "bob/p/good", tags=["good"])
    with reading(collector(tmp_path), "alice") as (alice,):
        listed = without_constants(alice.get(f"{RECORDS}?limit=10000").text)
        prefixes = {entry["prefix"] for entry in [*listed["records"], *listed["unreadable"]]}
        assert "bob/p/good" in prefixes
        assert len(prefixes) == min(len(chosen) + 1, listed["total"] + 100)
        check(alice, f"{RECORDS}?text=x&tag=two&status=FAILED&sort=-ended")
        check(alice, "/v1/views/compare?prefix=*")
        for number in range(len(chosen)):
            for view in views:
                check(alice, f"{RECORDS}/alice/p/r{number}/.record{view}")


@pytest.mark.parametrize("part", [OPENING, "labels/0001-x-1.jsonl"])
def test_text_that_is_not_unicode_is_listed_and_announced(tmp_path: Path, part: str) -> None:
    """A record with lone surrogates in its texts is in the list of everybody, before and after a restart."""
    field: dict[str, Any] = {"description": "\ud800", "tags": ["coffee\udce9"], "exp_id": "\ud800"}
    line = (
        {**OPENED, **field} if part == OPENING else {**LABELS, "tagged": {"added": ["\ud800"], "removed": []}}
    )
    write(tmp_path, "alice/p/odd", part, dumped(line))
    for _ in range(2):
        with reading(collector(tmp_path), "bob") as (bob,):
            (entry,) = bob.json(RECORDS)["records"]
            assert entry["tags"] == (["coffee\udce9"] if part == OPENING else ["\ud800"])
            assert bob.json("/v1/views/experiments")["total"] == 0
            version = ListTopic("records").version(bob.app.state.index)
            assert ListTopic("records", user="bob", judge=lambda _: True).version(bob.app.state.index)
            write(tmp_path, "alice/p/more", part, dumped(line))
            bob.app.state.changes.record("alice/p/more", OPENING)
            assert ListTopic("records").version(bob.app.state.index) != version
            assert bob.json(RECORDS)["total"] == 2
        shutil.rmtree(tmp_path / "alice/p/more")
        for path in (tmp_path / ".server").glob("cache.sqlite*"):
            path.unlink()


@pytest.mark.parametrize("name", ["\ud800", "a\r\nX-Injected: 1", "\u202e", "\x00", "🙂" * 200])
def test_no_name_of_a_file_breaks_an_answer(tmp_path: Path, name: str) -> None:
    """A content has its headers, and the error where it is missing its message, for any name and type."""
    checksum = hashlib.sha256(b"x").hexdigest()
    saved = {**SAVED["saved"], "filename": name, "contentType": name, "checksum": checksum}
    write(tmp_path, "alice/p/named", "files/0001-x-1.jsonl", dumped({**SAVED, "saved": saved}))
    path = f"{RECORDS}/alice/p/named/.record/contents/{checksum}"
    with reading(collector(tmp_path)) as (bob,):
        missing = bob.get(path, code=None)
        assert missing.status_code in {400, 409}
        blob = tmp_path / "alice/p/named/.record/blobs" / checksum[:2] / checksum
        blob.parent.mkdir(parents=True)
        blob.write_bytes(b"x")
        answer = bob.get(path, code=200 if missing.status_code == 409 else 400)
        assert "x-injected" not in answer.headers
        assert answer.headers["content-type"] in {"application/octet-stream", "application/json"}


def test_a_filter_need_not_be_unicode(tmp_path: Path) -> None:
    """A list whose filters are no text finds nothing, and is no fault of the server."""
    with reading(collector(tmp_path)) as (bob,):
        assert bob.get(f"{RECORDS}?text=%ED%A0%80&tag=%FF&sort=%ED%A0%80", code=400).json()["code"] == "usage"
        assert bob.get(f"{RECORDS}?text=%ED%A0%80&tag=%FF&owner=%00&prefix=%FF*").json()["total"] == 0
