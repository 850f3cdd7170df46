from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.cutting_proxy import Faults, answer
from support.extent import amount
from support.patience import eventually

from nemorun_cli.errors import NotFoundError
from nemorun_cli.replication import pull
from nemorun_cli.replication.remote_errors import RemoteError
from nemorun_cli.tracking.outbox import markers

if TYPE_CHECKING:
    from support.cutting_proxy import CuttingProxy, SeenRequest
    from support.local_records import LocalRecords

    from nemorun_cli.tracking import Experiment


def other_machine(local: LocalRecords, tmp_path: Path) -> Path:
    """Another folder of records, as on another machine."""
    root = tmp_path / "other"
    root.mkdir(exist_ok=True)
    markers.prepare(markers.of_records(str(root), local.outbox.url))
    return root


def delivered(local: LocalRecords, *losses: float, blob: bytes = b"content") -> Experiment:
    """A record that the server has."""
    with (record := local.open()).run:
        local.mark(record)
        record.params.set(lr=0.1)
        for loss in losses:
            record.metrics.log(loss=loss)
        record.files.save_blob(blob, to="b.bin")
    local.deliver()
    return record


def files(root: Path) -> dict[str, bytes]:
    """All files below a folder, but those of outboxes."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".outbox" not in path.parts
    }


def test_a_record_is_pulled_whole(local: LocalRecords, tmp_path: Path) -> None:
    """What another machine has sent is the same here, and pulled only once."""
    delivered(local, 1, 2, blob=os.urandom(200_000))
    root = other_machine(local, tmp_path)
    done = pull.pull_record(local.outbox.url, str(root), local.prefix)
    assert (done.left, done.files) == (0, len(files(root)))
    assert files(root) == files(local.root)
    assert pull.pull_record(local.outbox.url, str(root), local.prefix).files == 0


def test_two_machines_continue_each_other(local: LocalRecords, tmp_path: Path) -> None:
    """After a pull the next opening is a later generation, and both machines have all rows."""
    delivered(local, 1, 2)
    root = other_machine(local, tmp_path)
    pull.pull_record(local.outbox.url, str(root), local.prefix)
    second = type(local)(root, markers.of_records(str(root), local.outbox.url), local.replica, local.prefix)
    with (record := second.open()).run:
        second.mark(record)
        assert record.run.opening is not None
        assert record.run.opening.startswith("0002-")
        assert record.metrics(None).last("loss") == 2
        record.metrics.log(loss=3, step=9)
    second.deliver()
    pull.pull_record(local.outbox.url, str(local.root), local.prefix)
    assert files(local.root) == files(root)
    assert local.open().metrics(None).last("loss") == 3


def test_a_file_that_is_a_beginning_is_continued(local: LocalRecords, tmp_path: Path) -> None:
    """A file that is shorter here gets the rest; one that differs, or is longer, stays as it is."""
    delivered(local, 1, 2, 3)
    root = other_machine(local, tmp_path)
    pull.pull_record(local.outbox.url, str(root), local.prefix)
    complete = files(root)
    [name] = [name for name in complete if "/metrics/" in name]
    for content in (complete[name][:20], b""):
        (root / name).write_bytes(content)
        assert pull.pull_record(local.outbox.url, str(root), local.prefix).files == 1
        assert files(root) == complete
    for content in (b"X" + complete[name][1:20], complete[name] + b"more"):
        (root / name).write_bytes(content)
        done = pull.pull_record(local.outbox.url, str(root), local.prefix)
        assert done.files == 0
        assert (root / name).read_bytes() == content


def test_what_is_written_here_is_never_changed(local: LocalRecords) -> None:
    """While a program has a record open, a longer copy of its files on the server does not come here."""
    with (record := local.open()).run:
        local.mark(record)
        record.metrics.log(loss=1)
        record.metrics.log(loss=2)
        local.deliver()
        [path] = Path(record.place.metrics).rglob("*.jsonl")
        short = path.read_bytes()[:30]
        path.write_bytes(short)
        pull.pull_record(local.outbox.url, str(local.root), local.prefix)
        assert path.read_bytes() == short


def listing(**sizes: int) -> bytes:
    """The answer of a server that names files."""
    document = {"format": "exp.replica/1", "files": sizes}
    return answer("200 OK", body=json.dumps(document).encode(), Content_Type="application/json")


HOSTILE = [
    "../../escaped",
    "openings/../../../escaped.jsonl",
    "/etc/escaped",
    "openings/..",
    "openings/a\0b.jsonl",
    "openings/.new-1.jsonl",
    "openings//x.jsonl",
    "metrics/../x.jsonl",
    "blobs/aa/../../../escaped",
    "blobs/ab/" + "0" * 64,
    "params/" + "x" * 300 + ".jsonl",
    "secrets",
    "",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_what_a_hostile_server_names_is_not_written(
    local: LocalRecords, proxy: CuttingProxy, tmp_path: Path, path: str
) -> None:
    """Of the paths that a server names, only those of a record's files are asked for and written."""
    root = other_machine(local, tmp_path)
    before = {str(path) for path in tmp_path.rglob("*")}
    proxy.faults.answers = lambda request: listing(**{path: 3}) if "sizes" in request.path else None
    done = pull.pull_record(local.outbox.url, str(root), local.prefix)
    assert (done.files, done.left) == (0, 1)
    assert {str(path) for path in tmp_path.rglob("*")} == before
    assert [request.path for request in proxy.seen][2:] == []


CONTENT = hashlib.sha256(b"right").hexdigest()


@pytest.mark.parametrize(
    ("size", "body"),
    [(5, b"wrong"), (3, b"right"), (9, b"right"), (1 << 60, b"right")],
)
def test_a_content_is_checked(
    local: LocalRecords, proxy: CuttingProxy, tmp_path: Path, size: int, body: bytes
) -> None:
    """A content that is not that of its name is not kept, nor is one whose end is missing."""
    root = other_machine(local, tmp_path)
    path = f"blobs/{CONTENT[:2]}/{CONTENT}"

    def answers(request: SeenRequest) -> bytes | None:
        if "sizes" in request.path:
            return listing(**{path: size})
        if "/blobs/" in request.path:
            return answer("200 OK", body=body, Content_Type="application/octet-stream")
        return None

    proxy.faults.answers = answers
    try:
        done = pull.pull_record(local.outbox.url, str(root), local.prefix)
    except RemoteError:
        assert size == 9
    else:
        assert (done.files, done.left) == (0, 1)
    assert files(root) == {}


def test_no_link_is_followed(local: LocalRecords, tmp_path: Path) -> None:
    """A folder of the record that is a link to another place gets nothing, nor a file that is one."""
    delivered(local, 1)
    root, elsewhere = other_machine(local, tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    record = root / local.prefix / ".record"
    record.mkdir(parents=True)
    (record / "params").symlink_to(elsewhere)
    [name] = [Path(name).name for name in files(local.root) if "/openings/" in name]
    (record / "openings").mkdir()
    (record / "openings" / name).symlink_to(elsewhere / "opening")
    done = pull.pull_record(local.outbox.url, str(root), local.prefix)
    assert done.left == 2
    assert list(elsewhere.iterdir()) == []


def test_a_pull_that_is_cut_leaves_nothing_half_done(
    local: LocalRecords, proxy: CuttingProxy, tmp_path: Path
) -> None:
    """A pull that fails anywhere leaves whole files, and the next one gets the rest."""
    delivered(local, *range(50), blob=os.urandom(100_000))
    root = other_machine(local, tmp_path)
    whole = files(local.root)
    for index in range(amount(6, long=60)):
        count = iter(range(10_000))
        proxy.faults = Faults(loses=lambda _, count=count, index=index: next(count) == 2 + index)  # type: ignore[misc] # bound now
        with contextlib.suppress(RemoteError):
            pull.pull_record(local.outbox.url, str(root), local.prefix)
        assert files(root).items() <= whole.items()
    proxy.faults = Faults()
    pull.pull_record(local.outbox.url, str(root), local.prefix)
    assert files(root) == whole


def test_a_killed_pull_is_continued(local: LocalRecords, proxy: CuttingProxy, tmp_path: Path) -> None:
    """What has arrived of a large content is not asked for again by the next pull, and nothing is left."""
    delivered(local, 1, blob=os.urandom(3 << 20))
    root = other_machine(local, tmp_path)
    folder = markers.of_records(str(root), local.outbox.url).folder
    command = [sys.executable, "-P", "-m", "nemorun_cli.replication.pull", folder, local.prefix]
    proxy.faults.rate = 2 << 20

    def received() -> int:
        return sum(path.stat().st_size for path in root.rglob(f"blobs/*/{pull.STAGED}*"))

    with subprocess.Popen(command, cwd="/") as program:
        eventually(lambda: received() > 1 << 20)
        program.kill()
    begin = received()
    assert 1 << 20 < begin < 3 << 20
    proxy.faults = Faults()
    proxy.seen.clear()
    pull.pull_record(local.outbox.url, str(root), local.prefix)
    assert files(root) == files(local.root)
    assert any(f"bytes={begin}-" in request.head for request in proxy.seen)


def test_a_staged_name_of_the_file_itself_is_harmless(local: LocalRecords, tmp_path: Path) -> None:
    """If a pull is killed when a file has its name and the staged one, the next does not change the file."""
    delivered(local, 1)
    root = other_machine(local, tmp_path)
    pull.pull_record(local.outbox.url, str(root), local.prefix)
    whole = files(root)
    [path] = [root / name for name in whole if "/params/" in name]
    os.link(path, path.with_name(f"{pull.STAGED}{markers.short_name(path.name)}"))
    kept = path.rename(tmp_path / "kept")
    pull.pull_record(local.outbox.url, str(root), local.prefix)
    assert files(root) == whole
    assert kept.read_bytes() == path.read_bytes()
    assert kept.stat().st_ino != path.stat().st_ino


def test_a_record_whose_creation_was_not_answered_can_be_created(
    local: LocalRecords, proxy: CuttingProxy
) -> None:
    """If the answer to the creation of a record was lost, the next try gets the record, and only that one."""
    proxy.faults.loses = lambda request: request.method == "POST"
    with pytest.raises(RemoteError):
        pull.create_record(local.outbox, local.prefix)
    proxy.faults = Faults()
    assert pull.create_record(local.outbox, local.prefix)
    assert not pull.create_record(local.outbox, local.prefix)
    proxy.faults.loses = lambda request: request.method == "POST"
    with pytest.raises(RemoteError):
        pull.create_record(local.outbox, f"{local.prefix}/used")
    proxy.faults = Faults()
    with (record := local.open(f"{local.prefix}/used")).run:
        local.mark(record)
    local.deliver()
    assert not pull.create_record(local.outbox, f"{local.prefix}/used")


def test_what_the_server_does_not_have_is_not_found(local: LocalRecords, tmp_path: Path) -> None:
    """A record that the server does not have is not found, and nothing is created here."""
    root = other_machine(local, tmp_path)
    with pytest.raises(NotFoundError, match=local.prefix):
        pull.pull_record(local.outbox.url, str(root), local.prefix)
    assert files(root) == {}


def test_the_program_says_by_its_exit_code_what_it_found(
    local: LocalRecords, proxy: CuttingProxy, tmp_path: Path
) -> None:
    """The program that pulls for others exits with 0, 3, 6 or 8, and its last line is the reason."""
    delivered(local, 1)
    root = other_machine(local, tmp_path)
    folder = markers.of_records(str(root), local.outbox.url).folder

    def run(*arguments: Any) -> tuple[int, str]:
        command = [sys.executable, "-P", "-m", "nemorun_cli.replication.pull", folder, *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert run(local.prefix) == (0, "")
    assert run(local.prefix, "--create")[0] == 8
    proxy.faults.hangs = True
    code, text = run(local.prefix, "--timeout", "0.3")
    assert code == 6
    assert "does not answer" in text
    proxy.faults = Faults()
    assert pull.main([folder, f"{local.prefix}/none"]) == 3
    assert pull.main([folder, f"{local.prefix}/new", "--create"]) == 0
    assert pull.main([folder, f"{local.prefix}/new", "--create"]) == 8
    assert pull.main([folder, "../x"]) == 6
