from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.cutting_proxy import Faults, answer
from support.extent import amount
from support.patience import eventually

from nemorun_cli.replication.sender import outbox_files, work
from nemorun_cli.system import locks
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.outbox import markers, notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.cutting_proxy import CuttingProxy, SeenRequest
    from support.local_records import LocalRecords
    from support.served import Served

LINGER = "EXP_SENDER_LINGER"


@pytest.fixture
def senders(local: LocalRecords) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts senders as programs do; what holds the lock in the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "nemorun_cli.replication.sender", local.outbox.folder]
        started.append(subprocess.Popen(command, env={**os.environ, LINGER: "60", **environment}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
    end_sender(local)


def end_sender(local: LocalRecords) -> None:
    """Kill the sender of the outbox, and wait until its lock is free."""
    while (pid := locks.holder_by_kernel(Path(local.outbox.lock))) is not None:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not locks.is_held(Path(local.outbox.lock)))


PROGRAM = """
import sys, time
from nemorun_cli import Experiment
experiment = Experiment(sys.argv[1], dash_root=sys.argv[2], print_logs=False, dash_url=sys.argv[3] or None)
experiment.run.start()
for step in range(int(sys.argv[4])):
    experiment.metrics.log(loss=step, step=step)
print(experiment.run.opening, flush=True)
sys.stdin.read()
experiment.run.complete()
"""


def start_program(
    local: LocalRecords, url: str = "", rows: int = 10, **environment: str
) -> subprocess.Popen[str]:
    """A program that logs rows, prints its opening, and ends its record when its input ends."""
    argv = [sys.executable, "-c", PROGRAM, local.prefix, str(local.root), url, str(rows)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        argv,
        cwd=local.root.parent,
        env={**os.environ, **environment},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


def there(local: LocalRecords, prefix: str | None = None) -> reader.Record:
    """The record on the server."""
    record = reader.record(local.replica, prefix or local.prefix)
    assert record is not None
    return record


def test_a_killed_program_is_lost_on_the_server(local: LocalRecords) -> None:
    """The record of a program that was killed gets the verdict `lost` here, which arrives with all rows."""
    program = start_program(local)
    assert program.stdout is not None
    opening = program.stdout.readline().strip()
    markers.mark(local.outbox, opening, prefix=local.prefix, opening=opening)
    sender = local.deliver()
    assert local.pending == [f"{opening}.json"]
    program.kill()
    program.communicate()
    local.deliver(sender)
    record = there(local)
    assert (record.status, record.reason) == ("FAILED", "lost")
    assert len(record.data().metrics(None).read()) == 10
    assert local.pending == []
    assert local.differences() == []


def test_a_machine_that_restarted_has_lost_its_programs(local: LocalRecords) -> None:
    """What was open when the machine went down has the verdict `lost` after it is up again."""
    record = local.open()
    record.run.start()
    opening = record.run.opening
    local.mark(record)
    [path] = Path(record.place.openings).glob("*.jsonl")
    text = path.read_text(encoding="ascii")
    boot = json.loads(text)["boot"]
    path.write_text(text.replace(boot, "0" * len(boot)), encoding="ascii")
    sender = local.deliver()
    assert there(local).reason == "lost"
    assert local.pending == []
    assert opening is not None
    record.run.complete()
    del sender


def test_alive_programs_are_reported(local: LocalRecords, proxy: CuttingProxy) -> None:
    """The server gets to know which openings have a process, and of those alone."""
    bodies = []

    def spy(request: SeenRequest) -> bytes | None:
        if request.path == "/v1/heard":
            bodies.append(request)
        return None

    proxy.faults.answers = spy
    with (record := local.open()).run:
        local.mark(record)
        sender = local.deliver()
        assert len(bodies) == 1
        assert sender._next_heard - time.monotonic() == pytest.approx(15, abs=5)
        assert list(sender._alive()) == [(local.prefix, record.run.opening)]
    sender._next_heard = 0.0
    local.deliver(sender)
    assert list(sender._alive()) == []
    assert len(bodies) == 1


def test_one_sender_ships_for_all(
    local: LocalRecords, senders: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """Of two senders of an outbox one ends at once; if the other is killed, the next one delivers."""
    first = senders()
    eventually(lambda: notes.read_state(local.outbox).get("pid") == first.pid)
    second = senders()
    assert second.wait(20) == 0
    assert first.poll() is None
    assert os.getsid(first.pid) == first.pid, "a session of its own"
    assert psutil.Process(first.pid).nice() == min(19, os.nice(0) + 10)
    first.kill()
    first.wait()
    with (record := local.open()).run:
        local.mark(record)
    third = senders(**{LINGER: "0"})
    assert third.wait(20) == 0
    assert local.pending == []
    assert local.differences() == []
    log = Path(local.outbox.log).read_text(encoding="utf-8")
    assert "nothing is left" in log
    assert os.environ["EXP_TOKEN"] not in log


def test_many_programs_start_one_sender(local: LocalRecords, proxy: CuttingProxy) -> None:
    """Forked programs that open records at the same time have one sender, no zombie, no connection."""
    text = """
    import os, sys, psutil
    from nemorun_cli import Experiment
    root, url, prefix = sys.argv[1:]
    children = []
    for rank in range(8):
        if (child := os.fork()) == 0:
            os.environ["RANK"] = str(rank)
            experiment = Experiment(f"{prefix}/{rank % 2}", dash_root=root, dash_url=url, print_logs=False)
            with experiment.run:
                experiment.metrics.log(rank=rank)
                assert not psutil.Process().net_connections()
                assert not psutil.Process().children(recursive=True)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    """
    argv = [sys.executable, "-c", textwrap.dedent(text), str(local.root), proxy.url, local.prefix]
    try:
        done = subprocess.run(
            argv,
            cwd=local.root.parent,
            env={**os.environ, LINGER: "60"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found = [
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if local.outbox.folder in (process.info["cmdline"] or ())
        ]
        assert len(found) == 1
        eventually(lambda: local.pending == [])
        for index in range(2):
            assert local.differences(f"{local.prefix}/{index}") == []
            assert len(there(local, f"{local.prefix}/{index}").openings) == 4
    finally:
        end_sender(local)


def test_a_new_login_continues_without_a_restart(
    local: LocalRecords, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch, collector: Served
) -> None:
    """A sender whose token is refused reads the token again within a minute, or when somebody asks for it."""
    monkeypatch.setenv("EXP_TOKEN", "old-old-old")
    with (record := local.open()).run:
        local.mark(record)
        record.metrics.log(loss=1)
    sender = local.sender()
    sender.turn()
    assert sender.error is not None
    assert sender.error.fault == "unauthorized"
    assert "exp login" in sender.error.message
    assert 0 < sender._retry.at - time.monotonic() <= 60
    monkeypatch.setenv("EXP_TOKEN", collector.token)
    asked = len(proxy.seen)
    sender.turn()
    assert len(proxy.seen) == asked, "it waits"
    Path(local.outbox.folder, "wake").touch()
    while sender.turn():
        pass
    assert sender.error is None
    assert local.differences() == []
    assert "old-old-old" not in Path(local.outbox.log).read_text(encoding="utf-8")
    assert "old-old-old" not in Path(local.outbox.state).read_text(encoding="utf-8")


def test_the_prefix_of_another_user_is_kept_here(local: LocalRecords) -> None:
    """A record below a prefix that the token is not for stays here, and holds up no other."""
    foreign = f"bob/{local.prefix}"
    for prefix in (foreign, local.prefix):
        with (record := local.open(prefix)).run:
            local.mark(record)
            record.metrics.log(loss=1)
    sender = local.deliver()
    assert local.differences() == []
    assert not (local.replica / foreign).exists()
    problem = sender._works[foreign].worst
    assert problem is not None
    assert problem.fault == "forbidden"
    assert sender.to_json()["records"].keys() == {foreign}
    assert len(local.pending) == 1
    lines = Path(local.outbox.log)
    assert not lines.exists() or lines.read_text(encoding="utf-8").count("forbidden") <= 1


def test_rows_overtake_a_large_content(local: LocalRecords, proxy: CuttingProxy) -> None:
    """While a content is sent in pieces, the rows that are logged meanwhile arrive between them."""
    proxy.faults = Faults(rate=3e6, delay=0.001)
    with (record := local.open()).run:
        local.mark(record)
        record.files.save_blob(os.urandom(4 << 20), to="b.bin")
        sender = local.sender()
        sender.turn()
        for _ in range(100):
            record.metrics.log(loss=1)
            sender._next_look = 0.0
            sender.turn()
            if any("/files/" in request.path for request in proxy.seen):
                break
    kinds = [
        kind for each in proxy.seen for kind in ("blobs", "metrics", "files") if f"/{kind}/" in each.path
    ]
    last_piece = max(index for index, kind in enumerate(kinds) if kind == "blobs")
    assert "metrics" in kinds[kinds.index("blobs") : last_piece]
    assert kinds.index("files") > last_piece, "the row that names a content is sent after it"
    proxy.faults = Faults()
    local.deliver(sender)
    assert local.differences() == []


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_clock_that_differs_is_noted_and_does_no_harm(
    local: LocalRecords, proxy: CuttingProxy, ahead: int
) -> None:
    """A server whose clock is an hour off gets everything in order, and the difference is known."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + ahead))
    hello = {"format": "exp.hello/1", "server": "exp", "version": "9", "protocols": ["1.7"], "time": stamp}
    body = json.dumps(hello).encode()
    proxy.faults.answers = lambda request: (
        answer("200 OK", body=body, Content_Type="application/json") if request.path == "/v1/hello" else None
    )
    with (record := local.open()).run:
        local.mark(record)
        for step in range(5):
            record.metrics.log(step=step)
    sender = local.deliver()
    assert sender.to_json()["skew"] == pytest.approx(ahead, abs=60)
    assert [row["step"] for row in there(local).data().metrics(None).read()] == list(range(5))


def test_a_clock_that_steps_back_keeps_the_order(
    local: LocalRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are logged after the clock went back an hour arrive after those before, and nothing waits."""
    now, now_ns = time.time, time.time_ns
    with (record := local.open()).run:
        local.mark(record)
        for step in range(5):
            record.metrics.log(step=step)
        sender = local.deliver()
        monkeypatch.setattr(time, "time", lambda: now() - 3600)
        monkeypatch.setattr(time, "time_ns", lambda: now_ns() - 3600 * 10**9)
        for step in range(5, 10):
            record.metrics.log(step=step)
        local.deliver(sender)
        assert there(local).status == "RUNNING"
        assert [row["step"] for row in there(local).data().metrics(None).read()] == list(range(10))
    sender._disconnect()
    local.deliver(sender)
    assert local.differences() == []
    assert local.pending == []
    assert there(local).status == "COMPLETED"
    assert sender.to_json()["skew"] == pytest.approx(3600, abs=60)


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        ({"server": "exp", "protocols": ["2.0"]}, "version"),
        ({"server": "exp", "protocols": []}, "version"),
        ({"server": "other", "protocols": ["1.0"]}, "not_an_exp_server"),
        ([], "not_an_exp_server"),
    ],
)
def test_another_major_version_is_refused(
    local: LocalRecords, proxy: CuttingProxy, hello: Any, code: str
) -> None:
    """A server with another major version of the protocol gets nothing; a minor one makes no difference."""
    body = json.dumps(hello).encode()
    proxy.faults.answers = lambda _: answer("200 OK", body=body, Content_Type="application/json")
    with (record := local.open()).run:
        local.mark(record)
    sender = local.sender()
    sender.turn()
    assert sender.error is not None
    assert sender.error.fault == code
    assert {request.path for request in proxy.seen} == {"/v1/hello"}


def test_a_long_row_arrives(local: LocalRecords) -> None:
    """A row that is longer than one append, such as 30,000 params, arrives, and is read there."""
    with (record := local.open()).run:
        local.mark(record)
        record.params.set({f"layer{number}.weight": "x" * 30 for number in range(30_000)})
        record.metrics.log(loss=1)
    local.deliver()
    assert local.differences() == []
    assert len(there(local).data().params.get()) == 30_000


def largest_resident(pid: int) -> int:
    """The most KiB that a process had in memory; `ru_maxrss` counts those of the process that forked it."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        if (found := re.search(r"VmHWM:\s+(\d+) kB", status)) is not None:
            return int(found[1])
    return 0


def test_much_that_waits_takes_little_memory(
    local: LocalRecords, senders: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """A long time without a server is made up within seconds, in order, with less than 100 MB."""
    rows = amount(150_000, long=1_000_000)
    with (record := local.open()).run:
        local.mark(record)
        record.metrics.log(loss=0.0, step=0)
        [path] = Path(record.place.metrics).rglob("*.jsonl")
        line = b'{"_ts":1796000000.123456,"loss":0.12345678901234567,"step":%d}\n'
        with path.open("ab") as stream:
            stream.writelines(line % step for step in range(1, rows))
    begin = time.monotonic()
    process = senders(**{LINGER: "0"})
    largest = 0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        largest = largest_resident(process.pid) or largest
        time.sleep(0.01)
    assert process.wait() == 0
    assert time.monotonic() - begin < 30
    assert 0 < largest < 100 << 10
    assert local.differences() == []


def test_rows_of_a_forked_process_after_the_end_arrive(local: LocalRecords) -> None:
    """What is appended to a record shortly after its end is sent, too."""
    with (record := local.open()).run:
        local.mark(record)
        record.metrics.log(loss=1)
    sender = local.deliver()
    assert local.pending == []
    [path] = Path(record.place.metrics).rglob("*.jsonl")
    with path.open("ab") as stream:
        stream.write(b'{"_ts":1.0,"loss":2}\n')
    sender._next_look = 0.0
    sender.turn()
    assert local.differences() == []


def test_a_marker_written_again_is_not_removed(local: LocalRecords) -> None:
    """A marker that is replaced while it is being removed stays."""
    markers.mark(local.outbox, "m", prefix=local.prefix)
    before = outbox_files.markers(local.outbox)["m.json"]
    markers.mark(local.outbox, "m", prefix=local.prefix, opening="x")
    outbox_files.remove(local.outbox, before)
    [after] = outbox_files.markers(local.outbox).values()
    assert after.opening == "x"
    outbox_files.remove(local.outbox, after)
    assert local.pending == []


def test_a_removed_record_is_forgotten(local: LocalRecords) -> None:
    """A marker of a record that no longer exists is removed."""
    markers.mark(local.outbox, "gone", prefix=f"{local.prefix}/none")
    local.deliver()
    assert local.pending == []


def test_changes_are_awaited_until_the_next_look(local: LocalRecords) -> None:
    """Changes that get their name after the files were listed keep their marker until they are listed."""
    with (record := local.open()).run:
        local.mark(record)
    [marker] = outbox_files.markers(local.outbox).values()
    path = Path(f"{record.place.environment}/{marker.opening}.diff.part")
    path.write_bytes(b"all")
    watched = work.RecordWatched(record.place)
    watched.look()
    path.rename(path.with_suffix(""))
    assert not watched.is_over(marker)
    watched.look()
    assert watched.is_over(marker)


def test_changes_that_are_still_written_are_waited_for(local: LocalRecords) -> None:
    """The marker of a short program stays until its uncommitted changes are there, or do not come."""
    with (record := local.open()).run:
        local.mark(record)
    path = Path(f"{record.place.environment}/{local.pending[0].removesuffix('.json')}.diff.part")
    path.write_bytes(b"half")
    sender = local.sender()
    while sender.turn():
        pass
    assert local.pending
    path.rename(path.with_suffix(""))
    local.deliver(sender)
    assert local.pending == []
    assert local.differences() == []
