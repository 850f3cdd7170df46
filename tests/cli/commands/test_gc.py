from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import PATIENCE, eventually
from support.workspace import kill_supervisor, until

from nemorun_cli.storage import run_keys
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.experiment.run import Run


def over(workspace: ExpWorkspace, **header: Any) -> Run:
    """An experiment that is over, and whose supervisor is gone."""
    run = workspace.start({"one": "echo hi"}, **header)
    run.wait(timeout=60)
    eventually(lambda: not locks.is_held(run.files.supervisor_lock))
    return run


def removed(exp: Exp, *options: str) -> list[tuple[str, str | None]]:
    """What a collection removes, by kind and experiment."""
    return [(item["kind"], item["id"]) for item in exp("gc", *options, "--json").json["removed"]]


def everything(folder: Path) -> set[str]:
    """All there is in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_gc_removes_leftovers_only(workspace: ExpWorkspace) -> None:
    """Without --older only what no experiment needs any more goes."""
    run = over(workspace)
    assert not run.files.wake.exists()  # its supervisor took it along
    os.mkfifo(run.files.wake)
    run.files.rebuilt_ledger.write_text("half")
    before = everything(workspace.home.directory)
    assert sorted(removed(workspace.exp)) == [("rebuilt", run.id), ("wake", run.id)]
    gone = before - everything(workspace.home.directory)
    assert {name.rpartition("/")[2] for name in gone} == {"wake", "ledger.rebuilt"}
    assert workspace.exp.status(run.id)["status"] == "COMPLETED"
    assert removed(workspace.exp) == []


def test_gc_tries_without_removing(workspace: ExpWorkspace) -> None:
    """With --dry-run the same is told, and nothing is touched."""
    run = over(workspace)
    before = everything(workspace.home.directory)
    assert removed(workspace.exp, "--older", "0", "--dry-run") == [("experiment", run.id)]
    assert "would remove 1 item" in workspace.exp("gc", "--older", "0", "--dry-run").stderr
    assert everything(workspace.home.directory) == before


def test_gc_removes_what_ended_long_ago(workspace: ExpWorkspace) -> None:
    """With --older experiments go that ended longer ago, and their bytes are told."""
    run = over(workspace)
    size = sum(path.lstat().st_size for path in run.directory.rglob("*") if path.is_file())
    assert removed(workspace.exp, "--older", "1h") == []
    document = workspace.exp("gc", "--older", "0", "--json").json
    assert [item["id"] for item in document["removed"]] == [run.id]
    assert document["bytes"] == size
    assert not run.directory.parent.exists()
    workspace.exp("status", run.id, code=3)


def test_gc_prints_ids_alone(workspace: ExpWorkspace) -> None:
    """With -q the ids of experiments are all that is printed."""
    run = over(workspace)
    told = workspace.exp("gc", "--older", "0", "-q")
    assert (told.stdout, told.stderr) == (f"{run.id}\n", "")


def test_gc_keeps_what_is_not_over(workspace: ExpWorkspace) -> None:
    """Neither what runs nor what was interrupted goes, however old it is."""
    run = workspace.start({"slow": until("go"), "below": {"command": "echo", "dependencies": ["slow"]}})
    eventually(lambda: workspace.exp.task("slow")["status"] == "RUNNING")
    assert removed(workspace.exp, "--older", "0") == []
    assert stat.S_ISFIFO(run.files.wake.stat().st_mode)
    kill_supervisor(run)
    workspace.touch("go")
    eventually(lambda: workspace.exp.status(run.id)["status"] == "INTERRUPTED")
    assert removed(workspace.exp, "--older", "0") == [("wake", run.id)]
    workspace.exp("resume", run.id)


def test_gc_keeps_what_is_supervised(workspace: ExpWorkspace) -> None:
    """Who holds the supervisor's lock keeps the experiment, even if it has ended; that is told."""
    run = over(workspace)
    lock = locks.take(run.files.supervisor_lock)
    assert lock is not None
    document = workspace.exp("gc", "--older", "0", "--json").json
    assert document["removed"] == []
    assert [item["message"] for item in document["kept"]] == ["it is supervised"]
    assert ": it is supervised" in workspace.exp("gc", "--older", "0").stderr
    os.close(lock)
    assert removed(workspace.exp, "--older", "0") == [("experiment", run.id)]


def test_gc_leaves_foreign_folders_alone(workspace: ExpWorkspace) -> None:
    """What has no ledger of ours is not ours: neither its content nor its mode changes."""
    run = over(workspace)
    foreign = workspace.home.experiments / "theirs" / "theirs_1700000000"
    foreign.mkdir(parents=True)
    foreign.chmod(0o755)
    (foreign / "_TASKS").write_text("nemo")
    (run.directory.parent / "tried_1700000000").mkdir()
    (workspace.home.experiments / "empty").mkdir()
    elsewhere = workspace.folder / "elsewhere"
    run.directory.rename(elsewhere)
    run.directory.symlink_to(elsewhere)
    before = everything(workspace.home.directory), everything(elsewhere)
    (workspace.home.experiments / "theirs" / ".theirs_1.collected").mkdir()
    assert [kind for kind, _ in removed(workspace.exp, "--older", "0") if kind != "key"] == []
    (workspace.home.experiments / "theirs" / ".theirs_1.collected").rmdir()
    assert (everything(workspace.home.directory), everything(elsewhere)) == before
    assert foreign.stat().st_mode & 0o777 == 0o755


def test_gc_keeps_what_cannot_be_read(workspace: ExpWorkspace) -> None:
    """An experiment whose ledger is damaged, or newer, stays."""
    run = over(workspace)
    data = run.files.ledger.read_bytes()
    for broken in (data.replace(b"exp.ledger/1", b"exp.ledger/2"), b"rubbish\n" + data):
        run.files.ledger.write_bytes(broken)
        assert [kind for kind, _ in removed(workspace.exp, "--older", "0")] in ([], ["wake"])
        assert run.files.ledger.read_bytes() == broken


def test_gc_opens_what_tasks_have_closed(workspace: ExpWorkspace) -> None:
    """Folders that a task made read-only go as well, and what its links lead to stays."""
    (workspace.folder / "precious").mkdir()
    (workspace.folder / "precious" / "data").write_text("mine")
    closed = 'cd "$EXP_DIR"; mkdir -p closed/in; touch closed/in/file; ln -s {} link; chmod -R a-w closed'
    run = workspace.start({"closes": closed.format(workspace.folder / "precious")})
    run.wait(timeout=60)
    eventually(lambda: not locks.is_held(run.files.supervisor_lock))
    assert removed(workspace.exp, "--older", "0") == [("experiment", run.id)]
    assert not run.directory.exists()
    assert (workspace.folder / "precious" / "data").read_text() == "mine"


def test_gc_goes_on_with_what_was_interrupted(workspace: ExpWorkspace) -> None:
    """A removal that was killed half-way is finished by the next one, and is listed by nobody until then."""
    run = over(workspace)
    run.directory.rename(run.files.collected)
    assert workspace.exp("list", "-q").stdout == ""
    assert removed(workspace.exp) == [("collected", None)]
    assert not run.files.collected.exists()


def test_gc_removes_keys_without_experiments(workspace: ExpWorkspace) -> None:
    """A key's file goes when nothing that was started under it is left, and nobody holds it."""
    workspace.exp("run", workspace.spec({"one": "echo"}), "--key", "nightly")
    (path,) = workspace.home.keys.iterdir()
    eventually(lambda: not locks.is_held(workspace.exp.directory() / "supervisor.lock"))
    assert ("key", None) not in removed(workspace.exp)
    with run_keys.hold(workspace.home, key="nightly", name="tried"):
        assert ("key", None) not in removed(workspace.exp, "--older", "0")
        assert path.exists()
    assert removed(workspace.exp) == [("key", None)]
    assert not path.exists()


def test_who_waits_for_a_key_that_is_removed_takes_the_new_one(exp: Exp) -> None:
    """A key is held by its present file: one that was removed meanwhile keeps nobody away."""
    home, held, enough = Home(exp.home), threading.Event(), threading.Event()

    def wait() -> None:
        with run_keys.hold(home, key="k", name="a"):
            held.set()
            enough.wait(PATIENCE)

    with run_keys.hold(home, key="k", name="a"):
        (path,) = home.keys.iterdir()
        waiting = threading.Thread(target=wait)
        waiting.start()
        eventually(lambda: opened(path) == 2)
        path.unlink()
    assert held.wait(PATIENCE)
    assert locks.is_held(path)
    enough.set()
    waiting.join()


def opened(path: Path) -> int:
    """How often this process has a file open."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += descriptor.readlink() == path
    return count


def test_gc_removes_old_tracebacks(exp: Exp) -> None:
    """Tracebacks of faults go when they are old."""
    folder = Home(exp.home).faults
    folder.mkdir(parents=True)
    for name, age in (("old.txt", 7200.0), ("new.txt", 0.0)):
        (folder / name).write_text("a")
        os.utime(folder / name, (time.time() - age,) * 2)
    assert removed(exp, "--older", "1h") == [("fault", None)]
    assert [path.name for path in folder.iterdir()] == ["new.txt"]


@pytest.mark.parametrize("older", ["soon", "-1", "", "1x"])
def test_gc_refuses_what_is_no_duration(exp: Exp, older: str) -> None:
    """A duration that is none removes nothing."""
    exp("gc", "--older", older, code=2)


def test_gc_of_an_empty_home(exp: Exp) -> None:
    """Where there is nothing, nothing is removed and nothing is made."""
    assert removed(exp) == []
    assert not exp.home.exists()


def test_gc_removes_what_a_creation_left_that_died(workspace: ExpWorkspace) -> None:
    """A hidden folder or file of a process that no longer exists goes; that of a living one stays."""
    run = over(workspace)
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    names = run.directory.parent
    left = [names / f".new-{ended.pid}-0a1b2c3d", run.directory / f".new-{ended.pid}-4e5f"]
    alive = [names / f".new-{os.getpid()}-0a1b2c3d", names / ".new-old", names / ".new-0-0"]
    for path in (*left, *alive):
        (path / "inner").mkdir(parents=True)
        (path / "inner" / "file").touch()
    left[0].joinpath("inner").chmod(0o500)
    assert removed(workspace.exp) == [("unfinished", None), ("unfinished", run.id)]
    assert [path for path in (*left, *alive) if path.exists()] == alive
    for path in alive:
        shutil.rmtree(path)


def test_gc_leaves_whole_what_it_cannot_remove_whole(workspace: ExpWorkspace) -> None:
    """An experiment with a folder that belongs to another user stays whole, and that is named."""
    if os.geteuid() != 0 or not (setpriv := shutil.which("setpriv")):
        pytest.skip("A FOLDER OF ANOTHER USER IS NOT TESTED: only root can make one")
    run = over(workspace)
    folder = run.files.attempt("one", 1).directory / "cache"
    folder.mkdir()
    (folder / "file").touch()
    os.chown(folder, 65534, 65534)
    before = everything(workspace.home.directory)
    done = subprocess.run(
        [setpriv, "--bounding-set", "-dac_override,-fowner", *workspace.exp.argv, "gc", "--older", "0s"],
        env=workspace.exp.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "cache belongs to " in done.stderr
    assert everything(workspace.home.directory) == before
    shutil.rmtree(folder)
