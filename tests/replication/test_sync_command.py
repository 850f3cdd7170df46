from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import in_process
from support.cutting_proxy import answer
from support.formats import checked
from support.patience import eventually

from nemorun_cli.replication.client import Client
from nemorun_cli.system import locks
from nemorun_cli.tracking.outbox import delivery as outbox_delivery
from nemorun_cli.tracking.outbox import markers, notes, sender_process, shipping
from nemorun_cli.tracking.store import record_paths
from nemorun_cli.views.sync_state import ExperimentSync

if TYPE_CHECKING:
    from support.cutting_proxy import CuttingProxy
    from support.local_records import LocalRecords


def exp(local: LocalRecords, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """`exp` in this process, in the folder of the records."""
    local.root.mkdir(exist_ok=True)
    return in_process.run(arguments, program="exp", folder=local.root, env={**os.environ, **environment})


def sync(local: LocalRecords, *arguments: str, **environment: str) -> tuple[int, dict[str, Any], str]:
    """`exp sync --json` for these records; its exit code, its only outbox, and its messages."""
    code, out, err = exp(local, "sync", "--dash-root", str(local.root), "--json", *arguments, **environment)
    [outbox] = checked(json.loads(out))["outboxes"]
    return code, outbox, err


def logged(local: LocalRecords, prefix: str | None = None) -> None:
    """A marked record of a program that has ended."""
    with (record := local.open(prefix)).run:
        local.mark(record)
        record.metrics.log(loss=1)


def test_sync_delivers_all_and_reports_what_is_left(local: LocalRecords) -> None:
    """Before, `--status` names what is pending; then all arrives with exit 0, also the second time."""
    logged(local)
    code, before, _ = sync(local, "--status")
    assert (code, before["state"]) == (4, "left")
    [entry] = before["entries"]
    assert entry["name"] == local.prefix
    assert entry["bytes"] == before["bytes"] > 100
    assert local.pending, "nothing was sent"
    for _ in range(2):
        code, after, _ = sync(local)
        assert (code, after["state"], after["entries"]) == (0, "delivered", [])
        assert local.differences() == []
    assert local.pending == []


@pytest.mark.parametrize(
    ("token", "code", "state", "word"),
    [
        ("wrong", 2, "refused", "unauthorized"),
        ("", 2, "refused", "no_token"),
        ("wrong", 6, "away", "away"),
    ],
)
def test_sync_exits_with_what_is_in_the_way(
    local: LocalRecords, proxy: CuttingProxy, *, token: str, code: int, state: str, word: str
) -> None:
    """A refused token is exit 2, a server that does not answer 6, and all stays here."""
    logged(local)
    if word == "away":
        proxy.disconnect()
    try:
        found = sync(local, EXP_TOKEN=token)
    finally:
        if word == "away":
            proxy.connect()
    assert (found[0], found[1]["state"], found[1]["error"]["code"]) == (code, state, word)
    assert found[1]["entries"][0]["name"] == local.prefix
    assert sync(local)[0] == 0
    assert local.differences() == []


def test_sync_exits_with_4_if_something_is_refused(local: LocalRecords) -> None:
    """A record that the server does not take is left, the others arrive."""
    logged(local)
    logged(local, f"bob/{local.prefix}")
    code, outbox, _ = sync(local)
    assert (code, outbox["state"]) == (4, "left")
    [entry] = outbox["entries"]
    assert entry["error"]["code"] == "forbidden"
    assert local.differences() == []


def test_sync_leaves_nothing_of_its_own_verdicts(local: LocalRecords) -> None:
    """The marker of a verdict that `exp sync` writes for a dead program goes with the same call."""
    record = local.open()
    record.run.start()
    local.mark(record)
    [path] = Path(record.place.openings).glob("*.jsonl")
    first = json.loads(path.read_text(encoding="ascii"))
    first |= {"boot": "0" * len(first["boot"]), "dash_url": local.outbox.url}
    path.write_text(json.dumps(first) + "\n", encoding="ascii")
    assert sync(local)[0] == 0
    assert local.pending == []
    assert local.differences() == []
    record.run.complete()


def test_a_file_that_is_too_large_is_named_with_the_limit(
    local: LocalRecords, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The problem has the file's name, its size and the limit; the hint is no other delivery."""
    with (record := local.open()).run:
        local.mark(record)
        record.files.save_blob(b"x" * 2048, to="m/w.bin")
    hello = Client.hello
    monkeypatch.setattr(Client, "hello", lambda client: hello(client)._replace(largest_file=1024))
    body = b'{"format": "exp.error/1", "code": "file_too_large", "message": "no", "hint": null}'
    proxy.faults.answers = lambda request: (
        answer("422 No", body=body, Content_Type="application/json") if "/blobs/" in request.path else None
    )
    code, outbox, _ = sync(local)
    assert code == 4
    text = outbox["entries"][0]["error"]["message"]
    assert text.endswith("w.bin (2K) is larger than the 1K of this server (--max-file)"), text
    err = exp(local, "sync", "--dash-root", str(local.root), "--status")[2]
    assert "exp serve --max-file" in err
    assert "deliver it now" not in err


def test_hints_and_reasons_fit_what_is_in_the_way(local: LocalRecords, proxy: CuttingProxy) -> None:
    """A row has the address once; the remedy for a foreign owner or a refused token is no delivery."""
    logged(local)
    code, outbox, _ = sync(local, EXP_TOKEN="wrong")  # noqa: S106 - it is no token
    assert code == 2
    assert f"exp login {local.outbox.url}" in outbox["error"]["message"]
    err = exp(local, "sync", "--dash-root", str(local.root), "--status")[2]
    assert f"hint: exp login {local.outbox.url}" in err
    proxy.disconnect()
    try:
        sync(local)
        out = exp(local, "sync", "--dash-root", str(local.root), "--status", COLUMNS="400")[1]
    finally:
        proxy.connect()
    assert out.count(local.outbox.url) == 1
    assert "Failed to establish" not in out
    sync(local)
    logged(local, f"bob/{local.prefix}")
    sync(local)
    logged(local, f"{local.prefix}/later")
    err = exp(local, "sync", "--dash-root", str(local.root), "--status")[2]
    assert "owner of the prefix" in err
    sync(local)
    err = exp(local, "sync", "--dash-root", str(local.root), "--status")[2]
    assert err.count("hint: ") == 1
    assert "deliver it now" not in err


def test_a_marker_alone_is_unconfirmed(local: LocalRecords) -> None:
    """What a killed program left, of which the server seems to have all, is shown without a size."""
    logged(local)
    sync(local)
    markers.mark(local.outbox, "change-1", prefix=local.prefix)
    assert "unconfirmed" in exp(local, "records", "--dash-root", str(local.root))[1]
    assert "unconfirmed" in exp(local, "sync", "--dash-root", str(local.root), "--status")[1]


def test_what_an_experiment_lacks_has_a_reason() -> None:
    """Without an error it is being sent, or no sender is at work."""
    lacking = ExperimentSync("http://x", 0, is_marked=True, last=None, error=None)
    assert lacking.text(is_over=True).startswith("the end not on http://x yet: no sender is at work")
    assert lacking._replace(is_sending=True).text(is_over=True).endswith("yet: being sent")
    assert lacking._replace(error="no").text(is_over=True).endswith("yet: no")


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_program_reports_a_content_that_has_not_arrived(
    local: LocalRecords, monkeypatch: pytest.MonkeyPatch, *, is_refused: bool
) -> None:
    """The line at the end has the reason, also if only a saved file is left; without one, no answer."""
    told: list[str] = []
    monkeypatch.setattr(shipping, "_tell", told.append)
    monkeypatch.setattr(sender_process, "ensure", lambda _: True)
    shipped = shipping.Shipping(local.outbox.url, is_default=False)
    shipped._patience = 0.3
    with (record := local.open()).run:
        record.files.save_blob(b"content", to="b.bin")
    place = record_paths.Place(str(local.root), local.prefix)
    if is_refused:
        sizes = {path: size for path, size in outbox_delivery.sizes(place).items() if "blobs" not in path}
        notes.acknowledge(local.outbox, local.prefix, notes.Known(sizes, {}))
        problem = {"code": "refused", "message": "b.bin is larger"}
        notes.write_state(local.outbox, {"records": {local.prefix: problem}})
    shipped.ended(place, record.run.opening or "")
    [line] = told
    assert ("b.bin is larger" if is_refused else "(no answer)") in line
    assert ("exp sync --status" in line) == is_refused


def test_sync_takes_names(local: LocalRecords) -> None:
    """Only the records that are named are delivered; a name without any is all there is."""
    others = [f"{local.prefix}/{index}" for index in range(3)]
    for prefix in others:
        logged(local, prefix)
    assert sync(local, others[0])[0] == 0
    assert local.differences(others[0]) == []
    assert not (local.replica / others[1]).exists()
    assert sync(local, f"{local.prefix}/[12]")[0] == 0
    assert local.pending == []


def test_a_record_that_was_written_without_a_server_can_be_sent(local: LocalRecords) -> None:
    """`exp sync PREFIX --url URL` sends what no program marked; a prefix that nothing has is an error."""
    with local.open().run:
        pass
    code, _, err = exp(
        local, "sync", "--dash-root", str(local.root), local.prefix, "--url", f"{local.outbox.url}/"
    )
    assert (code, err.strip()) == (0, f"all has arrived at {local.outbox.url}")
    assert local.differences() == []
    code, _, err = exp(local, "sync", "--dash-root", str(local.root), "a/b/c", "--url", local.outbox.url)
    assert code == 3
    assert "a/b/c" in err


@pytest.mark.parametrize(
    "words",
    [
        ["nosuch/record"],
        ["nosuch/*"],
        ["latest"],
        ["nosuch"],
        ["--dash-root", "/nope"],
        ["--url", "http://127.0.0.1:1"],
        ["{prefix}", "nosuch/record"],
    ],
)
def test_what_does_not_exist_is_not_delivered(local: LocalRecords, words: list[str]) -> None:
    """A name, folder or server that nothing here belongs to is exit 3, with and without `--status`."""
    logged(local)
    root = [] if "--dash-root" in words else ["--dash-root", str(local.root)]
    for more in ([], ["--status"]):
        code, out, err = exp(
            local, "sync", *root, *(word.format(prefix=local.prefix) for word in words), *more
        )
        assert (code, out) == (3, ""), err
        assert err.startswith("exp: ")


def test_sync_with_a_url_looks_in_the_local_folder(local: LocalRecords) -> None:
    """A record in `.dash` of this folder, or in a folder that a sender noted, is found without an option."""
    logged(local)
    Path(local.root.parent, ".dash").symlink_to(local.root)
    code, _, err = in_process.run(
        ["sync", local.prefix, "--url", local.outbox.url],
        program="exp",
        folder=local.root.parent,
        env=dict(os.environ),
    )
    assert (code, err.strip()) == (0, f"all has arrived at {local.outbox.url}")
    assert local.differences() == []


def test_sync_waits_for_the_sender_at_work(local: LocalRecords) -> None:
    """While another process ships, `exp sync` hurries it, waits, and reports what it has delivered."""
    command = [sys.executable, "-P", "-m", "nemorun_cli.replication.sender", local.outbox.folder]
    sender = subprocess.Popen(command, env={**os.environ, "EXP_SENDER_LINGER": "60"})
    try:
        eventually(lambda: locks.is_held(Path(local.outbox.lock)))
        logged(local)
        code, outbox, _ = sync(local)
        assert (code, outbox["state"], outbox["is_sending"]) == (0, "delivered", True)
        assert local.differences() == []
    finally:
        sender.kill()
        sender.wait()


@pytest.mark.parametrize("has_sender", [False, True])
def test_what_the_server_lost_is_sent_again(local: LocalRecords, *, has_sender: bool) -> None:
    """With `--url` the server itself is asked, also by a sender that knows what it had."""
    command = [sys.executable, "-P", "-m", "nemorun_cli.replication.sender", local.outbox.folder]
    logged(local)
    sender = subprocess.Popen(command, env={**os.environ, "EXP_SENDER_LINGER": "60"}) if has_sender else None
    try:
        if sender is not None:
            eventually(lambda: locks.is_held(Path(local.outbox.lock)))
        assert sync(local)[0] == 0
        for lost in ("metrics", ""):
            shutil.rmtree(local.replica / local.prefix / ".record" / lost)
            assert sync(local, local.prefix, "--url", local.outbox.url)[0] == 0
            assert local.differences() == []
    finally:
        if sender is not None:
            sender.kill()
            sender.wait()


@pytest.mark.parametrize("has_sender", [False, True])
def test_a_program_that_logs_all_the_time_does_not_hold_up_sync(
    local: LocalRecords, *, has_sender: bool
) -> None:
    """What is there when `exp sync` begins is delivered, exit 0, although a program logs more."""
    command = [sys.executable, "-P", "-m", "nemorun_cli.replication.sender", local.outbox.folder]
    sender = subprocess.Popen(command, env={**os.environ, "EXP_SENDER_LINGER": "60"}) if has_sender else None
    stop = threading.Event()
    with (record := local.open()).run:
        local.mark(record)

        def log() -> None:
            while not stop.wait(0.002):
                record.metrics.log(loss=1)

        thread = threading.Thread(target=log)
        thread.start()
        try:
            if sender is not None:
                eventually(lambda: locks.is_held(Path(local.outbox.lock)))
            code, outbox, _ = sync(local)
            assert (code, outbox["state"]) == (0, "delivered")
            assert local.pending, "the program has not ended"
        finally:
            stop.set()
            thread.join()
            if sender is not None:
                sender.kill()
                sender.wait()
    _end(Path(local.outbox.lock))


def test_two_at_once_deliver_once(local: LocalRecords) -> None:
    """Of two `exp sync` at the same time, as from cron, both end with 0 and all is there once."""
    for index in range(4):
        logged(local, f"{local.prefix}/{index}")
    argv = [str(Path(sys.executable).with_name("exp")), "sync", "--dash-root", str(local.root)]
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    texts = [each.communicate(timeout=60)[1].decode() for each in both]
    assert [each.returncode for each in both] == [0, 0], texts
    assert all(f"all has arrived at {local.outbox.url}" in text for text in texts)
    assert all(local.differences(f"{local.prefix}/{index}") == [] for index in range(4))


PROGRAM = """
import sys, time
from nemorun_cli import Experiment
times = []
prefix, root, url = sys.argv[1:]
with Experiment(prefix, dash_root=root, dash_url=url or None, print_logs=False).run as experiment:
    for step in range(2000):
        begin = time.perf_counter()
        experiment.metrics.log(loss=step)
        times.append(time.perf_counter() - begin)
print(sorted(times)[1980])
"""


def test_a_run_without_a_server_is_as_without_the_argument(local: LocalRecords) -> None:
    """With a server that is away for the whole run, exit code, files and output are those of a local run."""
    url = "http://127.0.0.1:9"
    results = {}
    for name, address in (("local", ""), ("away", url)):
        argv = [sys.executable, "-c", PROGRAM, f"{local.prefix}/{name}", str(local.root), address]
        results[name] = subprocess.run(
            argv,
            cwd=local.root.parent,  # in no repository
            env={**os.environ, "EXP_DRAIN": "0", "EXP_DASH_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
    folder = Path(local.root, ".outbox", "http%3A%2F%2F127.0.0.1%3A9")
    try:
        assert [each.returncode for each in results.values()] == [0, 0]
        assert _folders(local, "local") == _folders(local, "away")
        assert len(results["away"].stderr.splitlines()) <= 1
    finally:
        _end(folder / "lock")
    code, _, err = exp(
        local, "sync", "--dash-root", str(local.root), f"{local.prefix}/away", "--url", local.outbox.url
    )
    assert code == 0, err
    assert local.differences(f"{local.prefix}/away") == []
    shutil.rmtree(folder, ignore_errors=True)  # a sender that was started again ends


def _folders(local: LocalRecords, name: str) -> list[str]:
    """The folders of the row files of a record, as often as they have one."""
    above = local.root / local.prefix / name
    return sorted(str(path.relative_to(above).parent) for path in above.rglob("*.jsonl"))


def _end(lock: Path) -> None:
    end = time.monotonic() + 20
    while lock.exists() and (pid := locks.holder_by_kernel(lock)) is not None and time.monotonic() < end:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not locks.is_held(lock))


def test_the_text_is_for_people(local: LocalRecords) -> None:
    """What is left is a table with the reason; what a server sent is shown without control characters."""
    logged(local)
    code, out, err = exp(local, "sync", "--dash-root", str(local.root), "--status")
    assert code == 4
    assert out.split()[:3] == ["NAME", "BYTES", "FILES"]
    assert local.prefix in out
    assert "hint: deliver it now: exp sync" in err
    code, out, err = exp(local, "sync", "--dash-root", str(local.root))
    assert (code, out) == (0, "")
    assert err.strip() == f"all has arrived at {local.outbox.url}"
    (local.root / "none").mkdir()
    code, out, err = exp(local, "sync", "--dash-root", str(local.root / "none"))
    assert (code, out, err.strip()) == (0, "", "nothing here is sent to a server")


@pytest.mark.parametrize(("token", "remedy"), [("wrong", "exp login"), (None, "exp sync --dash-root")])
def test_doctor_reports_what_has_not_arrived(local: LocalRecords, token: str | None, remedy: str) -> None:
    """`exp doctor` names a server that has not everything, since when and why, and the remedy."""
    logged(local)
    if token:
        sync(local, EXP_TOKEN=token)
    checks = json.loads(exp(local, "doctor", "--json", EXP_DASH_ROOT=str(local.root))[1])["checks"]
    [check] = [check for check in checks if check["subject"] == f"server {local.outbox.url}"]
    assert (check["state"], check["is_engine"]) == ("warning", False)
    assert "not arrived since 20" in check["message"]
    assert check["remedy"].startswith(remedy)
    sync(local)
    checks = json.loads(exp(local, "doctor", "--json", EXP_DASH_ROOT=str(local.root))[1])["checks"]
    [check] = [check for check in checks if check["subject"] == f"server {local.outbox.url}"]
    assert check["state"] == "well"


def test_sync_finds_the_folders_that_senders_have_noted(local: LocalRecords, tmp_path: Path) -> None:
    """What a sender could not deliver is found from any folder, without an option, and then forgotten."""
    logged(local)
    command = [sys.executable, "-P", "-m", "nemorun_cli.replication.sender", local.outbox.folder]
    sender = subprocess.Popen(command, env={**os.environ, "EXP_TOKEN": "wrong"})
    noted = tmp_path / "home" / "outbox" / "roots"
    eventually(lambda: noted.is_dir() and any(noted.iterdir()))
    sender.kill()
    sender.wait()
    code, out, err = in_process.run(["sync"], program="exp", folder=tmp_path, env=dict(os.environ))
    assert (code, out) == (0, ""), err
    assert local.differences() == []
    assert list(noted.iterdir()) == []
