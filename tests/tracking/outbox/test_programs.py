from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.doors import Door
from support.extent import amount
from support.light_imports import HEAVY
from support.patience import eventually
from support.senders import differences, end_senders, replica, senders
from support.small_disks import full, mounted

from nemorun_cli.errors import EngineError, NotFoundError, NotOverError, StateError, UsageError
from nemorun_cli.experiment.maintenance import collect, removal, sending
from nemorun_cli.experiment.records import targets
from nemorun_cli.storage.paths import Home
from nemorun_cli.tracking import Experiment, record
from nemorun_cli.tracking.outbox import delivery, markers, pulling, sender_process, shipping
from nemorun_cli.tracking.store import sessions
from nemorun_cli.tracking.store.record_paths import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.programs import Program
    from support.served import Served

TRAINING = """
with Experiment('{prefix}', dash_root=root, dash_url={url}).run as e:
    e.params.set(lr=0.1)
    for epoch in range(20):
        e.metrics('train').log(loss=1 / (epoch + 1), epoch=epoch)
    e.files.save_text('weights', to='model.txt')
    e.log('done')
"""


@pytest.fixture(autouse=True)
def _says_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a program of its own as to its one line, and to servers that were waited for in vain."""
    monkeypatch.setattr(shipping, "_has_spoken", False)
    monkeypatch.setattr(shipping, "_gave_up", {})


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def trickling() -> Iterator[str]:
    """The address of a server whose answer never ends: a line of its header arrives each 0.1 s."""
    is_over = threading.Event()

    def answer(client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.recv(1 << 16)
            client.sendall(b"HTTP/1.1 200 OK\r\n")
            while not is_over.wait(0.1):
                client.sendall(b"X: a\r\n")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        is_over.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def logged_in(url: str) -> dict[str, str]:
    """The variables of a program with a token for a server."""
    return {"EXP_DASH_URL": url, "EXP_TOKEN": "exp_any"}


def names_of(root: Path) -> set[str]:
    """The files of the records in a folder, with `ID` for the openings' own names."""
    paths = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return {
        re.sub(r"\d{4}-\d{8}T\d{6}Z-\d+-[0-9a-f]{8}", "ID", path) for path in paths if ".outbox" not in path
    }


def test_a_program_without_its_server_is_as_in_local_mode(
    alice: Served, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is away changes no exit code, output or file of a run, and gets all of it then."""
    monkeypatch.setenv("EXP_DRAIN", "0.2")
    local = program.run(
        f"root = {str(tmp_path / 'local')!r}" + TRAINING.format(prefix="alice/away/a", url=None)
    )
    with Door(alice.port, is_open=False) as door:
        monkeypatch.setenv("EXP_DASH_URL", door.url)
        process = program.start(TRAINING.format(prefix="alice/away/a", url=True))
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, local)
        assert err.count("\n") == 1
        assert f"has not arrived on {door.url}" in err
        assert names_of(tmp_path / "dash") == names_of(tmp_path / "local")
        found = record(tmp_path / "dash", "alice/away/a")
        assert found is not None
        assert found.status == "COMPLETED"
        assert found.openings[0].facts["pulled"] is False
        end_senders(tmp_path)
        door.is_open = True
        done = subprocess.run(
            [sys.executable, "-m", "nemorun_cli", "sync", "--dash-root", str(tmp_path / "dash")], check=False
        )
        assert done.returncode == 0
    assert differences(tmp_path / "dash/alice/away/a/.record", replica(alice, "alice/away/a")) == ""


@pytest.mark.parametrize("end", ["complete", "term"])
def test_the_end_of_a_record_waits_as_long_as_it_may(
    end: str, silent: str, program: Program, root: Path, tmp_path: Path
) -> None:
    """A silent server costs `EXP_DRAIN` at the end, or a second after SIGTERM, and no status."""
    text = f"""
    import time
    e = Experiment('alice/silent/a', dash_root=root, dash_url='{silent}').run.start()
    print('open', flush=True)
    while {end == "term"}:
        time.sleep(0.01)  # a single wait could begin just after the signal
    begin = time.monotonic()
    e.run.complete()
    print(time.monotonic() - begin)
    """
    patience = {"complete": "1", "term": "600"}[end]
    process = program.until(text, "open", EXP_DRAIN=patience, **logged_in(silent))
    if end == "term":
        process.terminate()
    out, err = process.communicate(timeout=20)
    assert process.returncode == (0 if end == "complete" else -15)
    assert end == "term" or 1 <= float(out) < 10
    assert err.count("\n") == 1
    found = record(root, "alice/silent/a")
    assert found is not None
    assert found.status == ("COMPLETED" if end == "complete" else "CANCELLED")
    end_senders(tmp_path)


def test_a_server_that_trickles_holds_no_program(
    trickling: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that sends a little of its answer all the time delays the start as little as a silent one."""
    monkeypatch.setenv("EXP_DRAIN", "0")
    monkeypatch.setenv("EXP_DASH_URL", trickling)
    monkeypatch.setenv("EXP_TOKEN", "exp_any")
    monkeypatch.setattr(pulling, "ANSWER", 0.2)
    monkeypatch.setattr(pulling, "LONGEST", 600.0)
    begin = time.monotonic()
    with Experiment("alice/trickle/a", dash_root=root, dash_url=True).run as experiment:
        pass
    assert time.monotonic() - begin < 15  # the time of two interpreters
    assert experiment.status == "COMPLETED"
    with pytest.raises(EngineError, match="too slowly"):
        Experiment("alice/trickle/b", dash_root=root, dash_url=True, resume="must").run.start()
    end_senders(tmp_path)


@pytest.mark.parametrize("server", ["silent", "trickling"])
def test_the_timeout_of_sync_holds_for_all_of_it(
    server: str, request: pytest.FixtureRequest, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sync(timeout=…)` returns then, also where it would only get what other machines have sent."""
    url = request.getfixturevalue(server)
    monkeypatch.setenv("EXP_DRAIN", "0")
    monkeypatch.setenv("EXP_DASH_URL", url)
    monkeypatch.setenv("EXP_TOKEN", "exp_any")
    monkeypatch.setattr(pulling, "ANSWER", 600.0)
    experiment = Experiment("alice/limit/a", dash_root=root, dash_url=True)
    experiment.shipping.is_new = True  # type: ignore[union-attr] # it has a server; no pull at its start
    with experiment.run:
        begin = time.monotonic()
        assert not experiment.sync(0.3)
        assert time.monotonic() - begin < 5
    begin = time.monotonic()
    with pytest.raises(NotFoundError):
        Experiment("alice/limit/b", dash_root=root, dash_url=True).sync(0.3)
    assert time.monotonic() - begin < 5
    end_senders(tmp_path)


def test_a_record_that_does_not_arrive_is_not_called_unknown(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`must` of a record that the server has, and that could not be received, says so."""

    def partly(*_: object, **__: object) -> pulling.Pull:
        return pulling.Pull(pulling.PullResult.PARTLY, "it took longer than 120 s")

    monkeypatch.setattr(pulling, "_run", partly)
    experiment = Experiment("alice/part/a", dash_root=root, dash_url="http://127.0.0.1:9", resume="must")
    with pytest.raises(EngineError, match="could not be received: it took"):
        experiment.run.start()


def test_ctrl_c_ends_the_wait(silent: str, program: Program, root: Path, tmp_path: Path) -> None:
    """Ctrl-C during the wait ends the wait alone: the record is COMPLETED, and the program continues."""
    text = f"""
    import pathlib, threading, time
    e = Experiment('alice/silent/b', dash_root=root, dash_url='{silent}').run.start()
    def interrupt():
        while not any(pathlib.Path(root).rglob('*-ended.json')):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    e.run.complete()
    print('continues')
    """
    assert program.run(text, EXP_DRAIN="600", **logged_in(silent)) == "continues\n"
    found = record(root, "alice/silent/b")
    assert found is not None
    assert found.status == "COMPLETED"
    end_senders(tmp_path)


def test_two_machines_share_a_prefix(alice: Served, tmp_path: Path) -> None:
    """What one machine wrote is there when another opens the prefix, and after `sync` the other way round."""
    here, there = tmp_path / "here", tmp_path / "there"
    first = Experiment("alice/two/a", dash_root=here, dash_url=True)
    with first.run:
        first.metrics("train").log(loss=0.5, epoch=3)
    second = Experiment("alice/two/a", dash_root=there, dash_url=True, resume="must")
    with second.run:
        assert second.metrics("train").last("epoch") == 3
        assert second.id is not None
        assert second.id.startswith("0002-")
        second.metrics("train").log(loss=0.4, epoch=4)
        assert second.sync(20) is True  # also while it is open
        assert (replica(alice, "alice/two/a") / f"openings/{second.id}.jsonl").exists()
    second.tag("best")
    eventually(lambda: list(replica(alice, "alice/two/a").glob("labels/*")))
    assert first.sync(20) is True
    assert first.metrics("train").last("epoch") == 4
    found = record(here, "alice/two/a")
    assert found is not None
    assert found.tags == ["best"]
    third = Experiment("alice/two/a", dash_root=tmp_path / "third", dash_url=True)
    assert third.sync(20) is True
    assert third.metrics("train").last("epoch") == 4
    assert differences(here / "alice", there / "alice") == ""


def test_two_folders_of_one_machine_write_a_prefix_at_once(alice: Served, tmp_path: Path) -> None:
    """A copy of an opening that runs elsewhere, here or on the server, is RUNNING, and no sender ends it."""
    here, there, prefix = tmp_path / "here", tmp_path / "there", "alice/once/a"
    first = Experiment(prefix, dash_root=here, dash_url=True)
    second = Experiment(prefix, dash_root=there, dash_url=True)
    with first.run:
        eventually(lambda: list(replica(alice, prefix).glob("openings/*")))
        with second.run:
            second_id = second.id
            assert second_id is not None
            assert second_id.startswith("0001-")  # at the same time: of one generation
            first.metrics("train").log(epoch=2)
            second.metrics("train").log(epoch=3)
        assert second.status == "RUNNING"
        assert not list(there.rglob("*.verdict.json"))
        openings = sessions.read_all(Place(str(alice.own.parent), prefix))[0]
        statuses = {opening.id: str(opening.status) for opening in openings}
        assert statuses == {first.id: "RUNNING", second_id: "COMPLETED"}
    assert second.sync(20)
    assert (first.status, second.status) == ("COMPLETED", "COMPLETED")
    assert second.metrics("train").read().columns()["epoch"] == [2, 3]


@pytest.mark.usefixtures("alice")
def test_resume_asks_the_server(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`must` and `never` hold for the server, too; without its answer they are errors."""
    with pytest.raises(NotFoundError, match="nor on"):
        Experiment("alice/resume/a", dash_root=root, dash_url=True, resume="must").run.start()
    with Experiment("alice/resume/a", dash_root=root / "other", dash_url=True, resume="never").run:
        pass
    with pytest.raises(UsageError, match="already a record"):
        Experiment("alice/resume/a", dash_root=root, dash_url=True, resume="never").run.start()
    monkeypatch.setenv("EXP_DASH_URL", "http://127.0.0.1:9")
    with pytest.raises(EngineError, match="does not say"):
        Experiment("alice/resume/b", dash_root=root, dash_url=True, resume="never").run.start()
    assert record(root, "alice/resume/a") is None
    assert record(root, "alice/resume/b") is None


@pytest.mark.usefixtures("alice")
def test_a_record_that_is_kept_by_the_server_alone(tmp_path: Path) -> None:
    """With `dash_root=None` a record is in the home until `exp gc` frees it; an opening gets it back."""
    elsewhere = Experiment("alice/remote/a", dash_url=True, dash_root=tmp_path / "other").run.start()
    elsewhere.sync(20)  # it is still open on another machine, so to speak
    opened = Experiment("alice/remote/a", dash_url=True, dash_root=None)
    with opened.run:
        opened.metrics("m").log(x=1)
        assert not list(collect.leftovers(Home(tmp_path / "home")))
    assert not (tmp_path / ".dash").exists()
    eventually(lambda: list(collect.leftovers(Home(tmp_path / "home"))))
    for item in list(collect.leftovers(Home(tmp_path / "home"))):
        assert item.kind == "delivered"
        assert collect.remove(Home(tmp_path / "home"), item) is None
    assert opened.openings() == []
    elsewhere.run.complete()
    with opened.run:
        assert opened.metrics("m").last("x") == 1


def test_what_has_not_arrived_is_kept_and_shown(
    alice: Served, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A record is not removed before its server has it, and `exp records` shows how much is missing."""
    monkeypatch.setenv("EXP_DRAIN", "0")
    home = Home(tmp_path / "home")
    with Door(alice.port, is_open=False) as door:
        monkeypatch.setenv("EXP_DASH_URL", door.url)  # the token is for this address
        with Experiment("alice/kept/a", dash_root=root, dash_url=door.url).run as experiment:
            experiment.metrics("m").log(x=1)
        shown = delivery.of_record(experiment.place)
        assert shown is not None
        assert shown.to_json()["pending"] > 0
        with pytest.raises(NotOverError, match="has arrived"):
            removal.plan_record(home, targets.single("alice/kept/a", str(root)))
        forced = removal.plan_record(home, targets.single("alice/kept/a", str(root)), is_forced=True)
        assert forced.copies == ()
        door.is_open = True
        assert experiment.sync(20)
        eventually(lambda: (delivery.of_record(experiment.place) or shown).is_complete)
        plan = removal.plan_record(home, targets.single("alice/kept/a", str(root)))
        assert plan.copies == (door.url,)
        assert json.loads(json.dumps(delivery.of_record(experiment.place)))[1] == 0


@pytest.mark.parametrize(
    "moment",
    ["sessions._write", "process_info.packages", "console.show"],
    ids=["empty opening", "environment", "announced"],
)
def test_a_program_killed_while_it_opens_its_record_is_known(
    moment: str, alice: Served, program: Program, root: Path
) -> None:
    """A record whose program is killed within `run.start()` is marked, and reaches its server as FAILED."""
    text = f"""
    from nemorun_cli.tracking.process import console, process_info
    from nemorun_cli.tracking.store import sessions
    {moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    e = Experiment(dash_root=root, dash_url=True)
    e.move('alice/killed/a')
    e._is_announced = False
    e.run.start()
    """
    program.run(text, code=-signal.SIGKILL)
    place = Place(str(root), "alice/killed/a")
    shown = delivery.of_record(place)
    assert shown is not None
    assert shown.url == alice.url
    done = subprocess.run(
        [sys.executable, "-m", "nemorun_cli", "sync", "--dash-root", str(root)], check=False
    )
    assert done.returncode == 0
    with contextlib.suppress(OSError):
        (root / "alice/killed/a/.record/environment").rmdir()  # an empty folder is not sent
    assert differences(root / "alice/killed/a/.record", replica(alice, "alice/killed/a")) == ""
    found = record(root, "alice/killed/a")
    assert (found and found.status) == (None if moment == "sessions._write" else "FAILED")


def test_an_opening_without_a_marker_is_shown_as_not_sent(
    alice: Served, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no marker could be written, the opening shows what has not arrived, and `exp sync` sends it."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("EXP_DRAIN", "0")
    with monkeypatch.context() as full_disk:
        full_disk.setattr(markers, "mark", refuse)
        with Experiment("alice/unmarked/a", dash_root=root, dash_url=True).run as experiment:
            pass
    shown = delivery.of_record(experiment.place)
    assert shown is not None
    assert (shown.url, shown.is_complete, shown.pending > 0) == (alice.url, False, True)
    with pytest.raises(NotOverError, match="has arrived"):
        removal.plan_record(Home(tmp_path / "home"), targets.single("alice/unmarked/a", str(root)))
    copied = tmp_path / "copied"
    shutil.copytree(root, copied)
    assert delivery.of_record(Place(str(copied), "alice/unmarked/a")) is None
    command = [sys.executable, "-m", "nemorun_cli", "sync", "--dash-root", str(root)]
    assert subprocess.run(command, check=False).returncode == 0
    assert differences(Path(experiment.place.record), replica(alice, "alice/unmarked/a")) == ""


def test_a_server_that_refuses_is_not_waited_for(
    alice: Served, root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A prefix of somebody else ends the wait at once, as one line reports; nothing is lost."""
    monkeypatch.setenv("EXP_DRAIN", "600")
    with Experiment("bob/p/n", dash_root=root, dash_url=True).run as experiment:
        experiment.metrics("m").log(x=1)
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert "exp sync" in told
    assert experiment.status == "COMPLETED"
    assert not replica(alice, "bob/p/n").exists()


@pytest.mark.parametrize("code", ["busy", "full", "away", None])
def test_a_program_wakes_only_a_sender_whose_server_did_not_answer(
    code: str | None, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that open and end records leave the pause alone that a server has asked for."""
    url = "http://127.0.0.1:9"
    monkeypatch.setenv("EXP_DRAIN", "0")
    monkeypatch.setattr(sender_process, "ensure", lambda _: True)
    experiment = Experiment("alice/woken/a", dash_root=root, dash_url=url)
    outbox = markers.of_records(str(root), url)
    markers.prepare(outbox)
    error = code and {"code": code, "message": "later", "since": "2026-01-01T00:00:00Z"}
    Path(outbox.state).write_text(json.dumps({"format": "exp.sender/1", "error": error}))
    with experiment.run:
        pass
    assert Path(outbox.waking).exists() == (code == "away")


def test_a_token_in_the_environment_is_used_at_once(
    alice: Served, root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without a token no program waits; the sender is replaced by one of a program that has a token."""
    monkeypatch.setenv("EXP_DRAIN", "600")
    token, experiment = alice.token, Experiment("alice/token/a", dash_root=root, dash_url=True)
    for given in ("", token):
        monkeypatch.setenv("EXP_TOKEN", given)
        with experiment.run:
            pass
    assert capfd.readouterr().err.count("exp login") == 1
    assert differences(root / "alice/token/a/.record", replica(alice, "alice/token/a")) == ""


def test_another_owner_is_said_at_once(
    alice: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A program whose prefix is not of the user that is logged in says so as it opens the record."""
    monkeypatch.setenv("EXP_TASK", "")
    monkeypatch.delenv("EXP_TOKEN")
    (tmp_path / "home").mkdir()
    content = {"format": "exp.logins/1", "servers": {alice.url: {"user": "alice", "token": alice.token}}}
    (tmp_path / "home/logins.json").write_text(json.dumps(content))
    (tmp_path / "home/logins.json").chmod(0o600)
    experiment = Experiment("bob/p/n", dash_root=tmp_path / "dash", dash_url=True)
    assert experiment.shipping is not None
    experiment.shipping.prepare(experiment.place, "allow")
    assert "logged in to" in capfd.readouterr().err


def test_many_processes_have_one_sender(alice: Served, program: Program, root: Path, tmp_path: Path) -> None:
    """The processes of a machine have one sender, which is no child of theirs, and all they write arrives."""
    text = """
    import multiprocessing, psutil
    def work(rank):
        os.environ['RANK'] = str(rank)
        with Experiment('alice/ranks/a', dash_root=root, dash_url=True).run as e:
            e.metrics('m').log(rank=rank)
    if __name__ == '__main__':
        fork = multiprocessing.get_context('fork')
        workers = [fork.Process(target=work, args=(rank,)) for rank in range(RANKS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        print([worker.exitcode for worker in workers], psutil.Process().children(recursive=True))
    """
    count = amount(3, long=8)
    out = program.run(text.replace("RANKS", str(count)), EXP_DRAIN="20")
    assert out == f"{[0] * count} []\n"
    assert len(senders(tmp_path)) == 1
    assert differences(root / "alice/ranks/a/.record", replica(alice, "alice/ranks/a")) == ""
    openings = list((root / "alice/ranks/a/.record/openings").iterdir())
    assert len(openings) == count
    log = next(root.glob(".outbox/*/log")).read_text()
    assert log.count("started for") == 1, log


def test_a_program_opens_no_socket_and_loads_nothing_of_others(
    alice: Served, program: Program, tmp_path: Path
) -> None:
    """A run with a server opens no socket, starts no thread and loads the standard library alone."""
    text = """
    import threading
    sys.addaudithook(lambda event, _: event.startswith('socket.') and os._exit(9))
    with Experiment('alice/gate/a', dash_root=root, dash_url=True).run as e:
        e.metrics('m').log(x=1)
        e.files.save_text('x', to='x')
        assert threading.active_count() == 1
    assert e.sync(20)
    names = {name.partition('.')[0] for name in sys.modules}
    print(*sorted(names - set(sys.stdlib_module_names) - set(sys.builtin_module_names)))
    """
    out = set(program.run(text).split())
    assert {name for name in out if not name.startswith("__")} <= {
        "nemorun_cli",
        "sitecustomize",
        *editable_finders(),
    }
    assert differences(tmp_path / "dash/alice/gate/a/.record", replica(alice, "alice/gate/a")) == ""


def editable_finders() -> set[str]:
    """What an installation loads into each interpreter, before any program."""
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in bare.stdout.split()}


@pytest.mark.usefixtures("alice")
def test_an_outbox_that_cannot_be_written_ends_no_program(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where no outbox can be made, the record is written as without a server, and one line reports it."""
    root.mkdir()
    (root / ".outbox").touch()
    for number in range(2):
        with Experiment(f"alice/closed/{number}", dash_root=root, dash_url=True).run as experiment:
            experiment.metrics("m").log(x=1)
        assert experiment.status == "COMPLETED"
    assert capfd.readouterr().err.count("is not sent to") == 1
    with pytest.raises(UsageError, match="cannot be written"):
        Experiment("alice/closed/c", dash_root=root, dash_url=True, resume="never").run.start()


def test_a_full_disk_loses_nothing_that_was_written(
    alice: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """While the disk is full, no marker and no record can be made; when it has room, all of it arrives."""
    monkeypatch.setenv("EXP_DRAIN", "0")
    root = tmp_path / "disk"
    with mounted(root, 512):
        opened = Experiment("alice/full/a", dash_root=root, dash_url=True)
        opened.run.start()
        opened.metrics("m").log(x=1)
        end_senders(root)
        with full(root):
            opened.run.complete()  # its file has room in its last page
            with pytest.raises(OSError, match="No space left"):
                Experiment("alice/full/b", dash_root=root, dash_url=True).run.start()
        assert "alice/full/a is not sent to" in capfd.readouterr().err
        assert opened.status == "COMPLETED"
        shown = delivery.of_record(opened.place)
        assert shown is not None
        assert not shown.is_complete
        with Experiment("alice/full/b", dash_root=root, dash_url=True).run as later:
            later.metrics("m").log(x=2)
        for experiment in (opened, later):
            assert experiment.sync(20)
            assert differences(Path(experiment.place.record), replica(alice, experiment.prefix)) == ""
        end_senders(root)


@pytest.mark.parametrize("url", [None, "https://exp.example.org"])
def test_a_program_with_a_server_imports_little(url: str | None, root: Path) -> None:
    """Up to the start of a record, a server costs a few small modules, and without one none of them."""
    text = f"""
import sys, threading
from nemorun_cli import Experiment
Experiment('alice/p/n', dash_root={str(root)!r}, dash_url={url!r})
print(threading.active_count(), *sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    threads, *loaded = out.split()
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert threads == "1"
    slow = HEAVY - ({"urllib"} if url else set()) | {"http", "urllib.request", "urllib3"}
    assert (set(loaded) - set(bare)) & slow == set()
    shipping_parts = {name for name in loaded if name.startswith("nemorun_cli.tracking.outbox.")}
    assert len(shipping_parts) <= (0 if url is None else 8)


def test_sync_needs_a_server_and_a_record(root: Path) -> None:
    """`sync` without a server, or of a record that does not exist, is an error that names the remedy."""
    with pytest.raises(StateError, match="no server"):
        Experiment("alice/p/n", dash_root=root).sync()
    with pytest.raises(NotFoundError, match="no record"):
        Experiment("alice/p/n", dash_root=root, dash_url="https://exp.example.org").sync(1)


@pytest.mark.parametrize("text", ["abc", "-1", "nan", "inf"])
def test_a_wrong_drain_ends_no_training(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An EXP_DRAIN that is no number of seconds is reported once, and the default holds."""
    shipping._tell_wrong_drain.cache_clear()
    monkeypatch.setenv("EXP_DRAIN", text)
    ships = [shipping.Shipping("http://127.0.0.1:9", is_default=False) for _ in range(2)]
    assert {each._patience for each in ships} == {shipping.DRAIN}
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"EXP_DRAIN is {text!r}" in told


def test_a_record_that_is_nowhere_names_both_places(alice: Served, root: Path) -> None:
    """`sync` of a record that is neither here nor on the server names the server, and what to look at."""
    absent = Experiment("bob/absent/a", dash_root=root, dash_url=alice.url)
    with pytest.raises(NotFoundError, match=f"nor on {alice.url}, or your token may not read it") as refused:
        absent.sync(timeout=10)
    assert refused.value.hint == f"check the prefix; what the token allows: exp whoami {alice.url}"
    absent = Experiment("bob/absent/a", dash_root=root, dash_url="http://127.0.0.1:9")
    with pytest.raises(NotFoundError, match="9 does not say whether it has it"):
        absent.sync(timeout=10)


def test_what_is_kept_for_a_server_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`exp gc` reports a record of `dash_root=None` that has not arrived, and `exp records` where it is."""
    monkeypatch.setenv("EXP_DRAIN", "0")
    with Experiment("alice/kept/b", dash_url="http://127.0.0.1:9", dash_root=None).run:
        pass
    end_senders(tmp_path)
    for words, told in (("gc", "has arrived on http://127.0.0.1:9"), ("records", "1 more, kept until")):
        subprocess.run([sys.executable, "-m", "nemorun_cli", words], check=True)
        assert told in " ".join(capfd.readouterr().err.split())
    assert list(sending.kept_records(Home(tmp_path / "home")).values()) == [1]
