"""Lines that jobs have written, read into rows."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.supervisor import job_samples
from nemorun_cli.supervisor.job_samples import JobSamples
from nemorun_cli.tracking.store import json_values, row_files, row_writer

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from nemorun_cli.tracking.store.row_files import Row


class Written:
    """A series that samples are written to, and the file that they come from."""

    def __init__(self, folder: Path) -> None:
        self.path, self._folder, self._inside = folder / "samples", folder / "system", folder
        self._count = 0

    def reading(self) -> JobSamples:
        """What another supervisor would read."""
        self._count += 1
        name = f"0001-x.{self._count}"
        return JobSamples(
            self.path,
            inside=self._inside,
            folder=str(self._folder),
            opening="0001-x",
            write=lambda at, fields: self._append(name, at, fields),
        )

    def _append(self, name: str, at: float, fields: dict[str, Any]) -> None:
        writer = row_writer.Writer()
        writer.open(name)
        writer.append(str(self._folder), json_values.encode_row(at, fields))
        writer.close()

    @property
    def rows(self) -> list[Row]:
        """The rows of all of them."""
        found = [row_files.read(source.path)[0] for source in row_files.sources(str(self._folder))]
        return sorted((row for rows in found for row in rows), key=lambda row: row["_at"])


def line(number: int) -> bytes:
    """The line of one sample."""
    return b'{"time":%d,"node":"n1","cpu":0.5,"memory":%d}\n' % (number, number)


@settings(max_examples=amount(20, long=300))
@given(
    parts=st.lists(st.integers(0, 200), max_size=6),
    junk=st.lists(
        st.sampled_from([b"", b"\n", b"\n\n", b"{}\n", b"x" * 100 + b"\n"]), min_size=4, max_size=4
    ),
)
def test_each_line_is_a_row_once(
    tmp_path_factory: pytest.TempPathFactory, parts: list[int], junk: list[bytes]
) -> None:
    """However a file grows, whichever supervisors read it, and whatever else a task has put between."""
    written = Written(tmp_path_factory.mktemp("job"))
    text = b"".join(between + line(number) for number, between in enumerate(junk))
    written.reading().read()
    for cut in [*sorted(parts), len(text)]:
        written.path.write_bytes(text[:cut])
        written.reading().read()
    written.reading().read()
    assert [row["memory"] for row in written.rows] == [0, 1, 2, 3]
    assert [row["_ts"] for row in written.rows] == [0, 1, 2, 3]


def test_one_call_reads_a_bounded_amount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a task fills takes one chunk of each look, and a line without an end is passed over."""
    monkeypatch.setattr(job_samples, "LARGEST", 100)
    written = Written(tmp_path)
    written.path.write_bytes(b"x" * 250 + b"\n" + b"".join(map(line, range(8))))
    reading = written.reading()
    counts = []
    for _ in range(10):
        reading.read()
        counts.append(len(written.rows))
    assert counts[:2] == [0, 0]
    assert counts[-1] == 8
    assert all(later - earlier <= 2 for earlier, later in pairwise(counts))
