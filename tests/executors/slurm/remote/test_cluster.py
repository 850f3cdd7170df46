"""A Slurm cluster that only ssh leads to: a real sshd, a real cluster, and another user's files."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import pytest
from engines.far import PASSWORD, USER
from support.other_user import UID
from support.patience import eventually
from support.terminals import Terminal
from support.workspace import events, kill_supervisor, log, status, statuses, until

import nemorun_cli
from nemorun_cli.executors import make
from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel
from nemorun_cli.model.status import Reason
from nemorun_cli.tracking.access import reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.far import Far
    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.state import TaskState

LONG: Final = 120.0  # seconds
HELP: Final = "ssh needs you: exp doctor {}"


@pytest.fixture
def spot(far: Far) -> Iterator[Path]:
    """A folder that tasks work in, and that the test sees."""
    before = os.umask(0)
    with tempfile.TemporaryDirectory(dir=far.work) as name:
        Path(name).chmod(0o777)
        yield Path(name)
    os.umask(before)


def header(far: Far, spot: Path, **executors: Any) -> dict[str, Any]:
    """What makes tasks run there."""
    return {
        "executors": {"cluster": far.options(), **executors},
        "executor": "cluster",
        "defaults": {"workdir": str(spot)},
    }


def soon(condition: Any) -> Any:
    """What comes to pass, though Slurm and the network take their time."""
    return eventually(condition, within=LONG)


def now(run: Run, task: str = "one") -> TaskState:
    """How a task stands."""
    return run.status().history.tasks[task]


def copy_package(spot: Path) -> None:
    """Have the package where tasks of the other user can import it."""
    source = Path(nemorun_cli.__file__).parent
    shutil.copytree(source, spot / source.name, ignore=shutil.ignore_patterns("__pycache__"))


def end_shared_connection(far: Far) -> None:
    """End the process that keeps the shared connection to this server, and no other's, if there is one."""
    tunnel = Tunnel.of(far.options()["tunnel"])
    argv = [*tunnel.ssh(), "-O", "check", tunnel.host]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False).stderr
    if found := re.search(r"\(pid=(\d+)\)", answer):
        psutil.Process(int(found[1])).kill()


# -- what runs there --------------------------------------------------------------------------------------


def test_places_are_those_of_the_far_side(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """A task's folders are under `job_dir`, also where the spec names them; its evidence is here."""
    inline = 'echo "$EXP_DIR"; echo "$EXP_DASH_ROOT"; echo "$1"; id -un; echo x=1 >>"$EXP_OUTPUT"'
    cluster = far.options()
    cluster["tunnel"]["pre_command"] = "echo loaded; SLURM=loaded"
    cluster["job_name"] = "far-{task}"
    run = workspace.start(
        {"one": {"inline": inline, "args": ["${{ experiment.dir }}/data"]}},
        **header(far, spot, cluster=cluster),
    )
    state = run.wait(timeout=LONG).history.tasks["one"]
    folder = far.home(workspace.home.directory) / "tried" / run.id
    assert log(run, "one").splitlines() == [
        str(folder),
        str(folder.parents[1] / "dash"),
        f"{folder}/data",
        USER,
    ]
    assert (state.status, state.outputs) == ("SUCCEEDED", {"x": "1"})
    assert not any(path.is_symlink() for path in run.directory.rglob("*"))


def test_code_is_shipped_once(workspace: ExpWorkspace, far: Far) -> None:
    """What a packager ships runs there from the experiment's own copy, and travels once for all."""
    (workspace.folder / "mine.py").write_text("import os\ndef main() -> None:\n    print(os.getcwd())\n")
    (workspace.folder / "deep").mkdir()
    (workspace.folder / "deep" / "tool.sh").write_text("echo a tool\n")
    packager = {"type": "pattern", "include": ["*.py", "deep/**"]}
    tasks = {
        "one": {"partial": "mine:main"},
        "two": {"inline": "sh tool.sh; rm tool.sh", "workdir": "deep", "dependencies": ["one"]},
    }
    executors = {"cluster": far.options(packager=packager)}
    runs = [workspace.start(tasks, executors=executors, executor="cluster") for _ in range(2)]
    for run in runs:
        assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED", "two": "SUCCEEDED"}
        assert log(run, "one").startswith(f"{far.home(workspace.home.directory) / 'tried' / run.id}/code/")
        assert log(run, "two") == "a tool\n"
    (store,) = (far.home(workspace.home.directory) / "code").iterdir()
    assert (store / "deep" / "tool.sh").exists()


def test_records_come_back(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """What a task tracks there is found here, where the spec wants it, with the supervisor's verdict."""
    copy_package(spot)
    program = (
        "from nemorun_cli import Experiment\nwith Experiment().run as it:\n    it.metrics.log(loss=0.5)\n"
    )
    task = {"inline": program, "entrypoint": "python3", "env": {"PYTHONPATH": str(spot)}}
    run = workspace.start({"one": task}, **header(far, spot), tracking={"dash_root": "kept"})
    snapshot = run.wait(timeout=LONG)
    assert statuses(snapshot) == {"one": "SUCCEEDED"}, log(run, "one")
    record = reader.record(workspace.folder / "kept", f"{snapshot.history.created['prefix']}/one")
    assert record is not None
    assert [row["loss"] for row in record.data().metrics(None).read()] == [0.5]
    assert record.status == "COMPLETED"
    assert all(opening.verdict for opening in record.openings)


def test_metrics_come_while_a_task_runs(exp: Exp, workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """What a running task there has tracked is shown here before it ends."""
    copy_package(spot)
    program = (
        "import pathlib, time\nfrom nemorun_cli import Experiment\nwith Experiment().run as it:\n"
        "    it.metrics.log(loss=0.5)\n    while not pathlib.Path('go').exists():\n        time.sleep(0.05)\n"
    )
    task = {"inline": program, "entrypoint": "python3", "env": {"PYTHONPATH": str(spot)}}
    run = workspace.start({"one": task}, **header(far, spot))
    soon(lambda: "loss" in exp("metrics", run.id, code=None).stdout)
    assert status(run, "one") == "RUNNING"
    (spot / "go").touch()
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}


def test_artifacts_come_back_to_their_place(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """What `artifacts` names is in the experiment's folder here when its task is over; nothing of ours is."""
    inline = """
        mkdir -p "$EXP_DIR/results/deep" "$EXP_TASK_DIR/more"
        echo kept >"$EXP_DIR/results/deep/a b.txt"; echo best >"$EXP_TASK_DIR/best.pt"
        echo left >"$EXP_DIR/other"; ln -s /etc/passwd "$EXP_DIR/results/link"
        for name in ledger.jsonl resolved.json spec.yaml; do echo evil >"$EXP_DIR/$name"; done
    """
    options = far.options()
    options["tunnel"] = {
        **options["tunnel"],
        "artifacts": ["results/**", "tasks/*/*.pt", "*.json*", "*.yaml"],
    }
    tasks = {
        "one": inline,
        "two": {
            "inline": 'cat "$EXP_DIR/results/deep/a b.txt"',
            "executor": "local",
            "dependencies": ["one"],
        },
    }
    run = workspace.start(tasks, **header(far, spot, cluster=options))
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED", "two": "SUCCEEDED"}
    assert log(run, "two") == "kept\n"
    assert (run.files.task("one") / "best.pt").read_text() == "best\n"
    assert not (run.directory / "other").exists()
    assert not (run.directory / "results" / "link").exists()
    assert "evil\n" not in {run.files.resolved.read_text(), run.files.spec.read_text()}


def test_files_of_the_workdir_come_back_with_the_attempt(
    workspace: ExpWorkspace, far: Far, spot: Path
) -> None:
    """What a task's own `artifacts` name is in its attempt's folder here, whatever its workdir is called."""
    spot = spot / "a b;$(touch PWNED)'"
    spot.mkdir()
    spot.chmod(0o777)
    inline = """
        mkdir -p models/old plots/deep logs
        echo best >"models/a b.pt"; echo old >models/old/c.pt; echo x >models/notes
        echo p >plots/deep/p.png; echo q >plots/q.png; echo l >logs/l; echo d >deep.txt; exit 3
    """
    globs = ["models/*.pt", "plots/**/*.png", "logs", "nothing/*"]
    run = workspace.start({"one": {"inline": inline, "artifacts": globs}}, **header(far, spot))
    assert run.wait(timeout=LONG).history.tasks["one"].exit_code == 3
    kept = run.files.attempt("one", 1).directory / "artifacts"
    found = {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}
    assert found == {"models/a b.pt", "plots/deep/p.png", "plots/q.png", "logs/l"}
    assert (kept / "models" / "a b.pt").read_text() == "best\n"
    assert not (spot / "PWNED").exists()


def test_files_that_cannot_come_back_are_told(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """A task that succeeded has done so, and its status says what is missing."""
    task = {"inline": "touch a.pt b.pt; chmod 0 a.pt", "artifacts": ["*.pt"]}
    run = workspace.start({"one": task}, **header(far, spot))
    state = run.wait(timeout=LONG).history.tasks["one"]
    assert state.status == "SUCCEEDED"
    assert "not all of its files were fetched: rsync" in (state.message or "")
    assert (run.files.attempt("one", 1).directory / "artifacts" / "b.pt").exists()


def test_a_log_is_followed(exp: Exp, workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """`exp logs -f` shows what a task there writes, while it writes it."""
    run = workspace.start({"one": f"echo begun; {until('go')}; echo over"}, **header(far, spot))
    with exp.start("logs", run.id, "one", "-f") as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "begun\n"
        (spot / "go").touch()
        assert follower.stdout.readline() == "over\n"
        assert follower.wait(LONG) == 0


def test_a_long_log_arrives_whole(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """An end is told only when all that was written before is here, however much it is."""
    run = workspace.start({"one": "seq 1500000"}, **header(far, spot))
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}
    assert log(run, "one").splitlines() == [str(number) for number in range(1, 1_500_001)]


def test_a_jump_host_just_works(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """A host of ssh's own configuration that lies behind another one is reached like any."""
    run = workspace.start({"one": "echo there"}, **header(far, spot, cluster=far.options("behind")))
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}
    assert log(run, "one") == "there\n"


# -- when the way is cut ----------------------------------------------------------------------------------


def test_a_connection_that_drops_ends_nothing(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """Dropped connections, and a shared one that is killed, are made anew; tasks go on, and run once."""
    assert far.sshd is not None
    note = 'echo "$EXP_TASK $EXP_ATTEMPT" >>ran'
    tasks = {"one": f"{note}; echo begun; {until('go')}", "two": {"inline": note, "dependencies": ["one"]}}
    run = workspace.start(tasks, **header(far, spot))
    soon(lambda: status(run, "one") == "RUNNING")
    far.sshd.run("drop")
    end_shared_connection(far)
    (spot / "go").touch()
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED", "two": "SUCCEEDED"}
    assert (spot / "ran").read_text().splitlines() == ["one 1", "two 1"]


def test_a_far_side_that_is_away_is_unknown(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """While no sshd answers, tasks are UNKNOWN, with a supervisor and without; afterwards comes the truth."""
    assert far.sshd is not None
    run = workspace.start({"one": f"{until('go')}; exit 3"}, **header(far, spot))
    soon(lambda: status(run, "one") == "RUNNING")
    far.sshd.run("down")
    soon(lambda: now(run).status == "UNKNOWN")
    assert "ssh cannot reach login" in (now(run).message or "")
    kill_supervisor(run)
    assert now(run).status == "UNKNOWN"
    (spot / "go").touch()
    far.sshd.run("up")
    soon(lambda: now(run).status == "FAILED")
    assert (now(run).exit_code, now(run).reason) == (3, Reason.EXIT)


def test_what_was_to_be_submitted_waits_for_the_way(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """A task that is ready while the far side is away is submitted when it is back, and runs once."""
    assert far.sshd is not None
    tasks = {
        "first": {"inline": until("go"), "executor": "local", "workdir": str(spot)},
        "one": {"inline": "echo ran >>ran", "dependencies": ["first"]},
    }
    run = workspace.start(tasks, **header(far, spot))
    soon(lambda: status(run, "first") == "RUNNING")
    far.sshd.run("down")
    (spot / "go").touch()
    soon(lambda: now(run).status == "UNKNOWN")
    far.sshd.run("up")
    assert statuses(run.wait(timeout=LONG)) == {"first": "SUCCEEDED", "one": "SUCCEEDED"}
    assert (spot / "ran").read_text() == "ran\n"


@pytest.mark.parametrize("name", ["authorized_keys", "known_hosts"])
def test_a_login_that_wants_a_person_says_so(
    workspace: ExpWorkspace, far: Far, spot: Path, name: str
) -> None:
    """Where ssh would have to ask, tasks are UNKNOWN for that reason, and go on when a person has helped."""
    assert far.sshd is not None
    run = workspace.start({"one": until("go")}, **header(far, spot))
    soon(lambda: status(run, "one") == "RUNNING")
    path = far.sshd.folder / name
    kept = path.read_bytes()
    path.write_bytes(b"")
    try:
        far.sshd.run("drop")
        soon(lambda: now(run).message == HELP.format(run.id))
        assert now(run).status == "UNKNOWN"
    finally:
        path.write_bytes(kept)
    soon(lambda: status(run, "one") == "RUNNING")
    (spot / "go").touch()
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}
    assert [event["event"] for event in events(run)].count("submitted") == 1


def test_a_person_at_a_terminal_is_asked(exp: Exp, workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """`exp doctor` at a terminal asks for a password, and what runs goes on over that connection."""
    assert far.sshd is not None
    run = workspace.start({"one": until("go")}, **header(far, spot))
    soon(lambda: status(run, "one") == "RUNNING")
    path = far.sshd.folder / "authorized_keys"
    kept = path.read_bytes()
    path.write_bytes(b"")
    try:
        far.sshd.run("drop")
        soon(lambda: now(run).message == HELP.format(run.id))
        terminal = Terminal([*exp.argv, "doctor", run.id], env=exp.env, cwd=exp.folder)
        terminal.until("password:")
        terminal.type(f"{PASSWORD}\n".encode())
        terminal.until("login accepts the login")
        assert terminal.end() == 0
        soon(lambda: status(run, "one") == "RUNNING")
        (spot / "go").touch()
        assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}
    finally:
        path.write_bytes(kept)


def test_a_command_that_a_broken_connection_did_not_take_is_sent_again(
    workspace: ExpWorkspace, far: Far, spot: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The client notices only then that the connection is gone; its next call opens another one."""
    real = shutil.which("ssh")
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    refusal = "mux_client_request_session: write packet: Broken pipe"
    program.write_text(
        f'#!/bin/sh\nif mkdir "{tmp_path}/once" 2>/dev/null; then echo "{refusal}" >&2; exit 255; fi\n'
        f'exec "{real}" "$@"\n'
    )
    program.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        run = workspace.start({"one": f"touch begun; {until('go')}"}, **header(far, spot))
        assert (tmp_path / "once").is_dir(), "the check of the login"
        soon((spot / "begun").exists)
        (tmp_path / "once").rmdir()
        soon((tmp_path / "once").is_dir)
    (spot / "go").touch()
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}
    assert [event for event in events(run) if event["event"] == "unknown"] == []


def test_nobody_is_let_in_by_another_host_key(workspace: ExpWorkspace, far: Far, spot: Path) -> None:
    """A host that shows another key than before is not talked to."""
    assert far.sshd is not None
    known = far.sshd.folder / "known_hosts"
    kept = known.read_text()
    kind, _, _ = (far.sshd.folder / "host_key.pub").read_text().split(" ", 2)
    other = (far.sshd.folder / "user_key.pub").read_text().split(" ")[1]
    run = workspace.start({"one": until("go")}, **header(far, spot))
    soon(lambda: status(run, "one") == "RUNNING")
    known.write_text(f"{kept.split(' ', 1)[0]} {kind} {other}\n")
    try:
        far.sshd.run("drop")
        soon(lambda: now(run).message == HELP.format(run.id))
        assert "has changed" in doctor(far.options())[0]["message"]
    finally:
        known.write_text(kept)
    (spot / "go").touch()
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}


# -- a full disk ------------------------------------------------------------------------------------------


@pytest.fixture
def small(far: Far) -> Iterator[Path]:
    """A disk of the far side with room for little, on which its jobs lie."""
    path = Path(tempfile.mkdtemp(dir=far.work))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0777", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)
    path.rmdir()


def fill(disk: Path) -> Path:
    """A file that leaves no room on a disk."""
    path = disk / "filler"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return path


def on(far: Far, disk: Path) -> dict[str, Any]:
    """An executor whose jobs lie on a disk there."""
    options = far.options()
    return {**options, "tunnel": {**options["tunnel"], "job_dir": str(disk / "jobs")}}


def test_an_end_waits_for_room_on_the_far_disk(
    workspace: ExpWorkspace, far: Far, spot: Path, small: Path
) -> None:
    """A full disk there loses no exit code: it is known when there is room again."""
    run = workspace.start(
        {"one": f"{until('go')}; touch over; exit 7"}, **header(far, spot, cluster=on(far, small))
    )
    soon(lambda: status(run, "one") == "RUNNING")
    filler = fill(small)
    (spot / "go").touch()
    soon((spot / "over").exists)
    assert status(run, "one") == "RUNNING"
    filler.unlink()
    assert run.wait(timeout=LONG).history.tasks["one"].exit_code == 7


def test_nothing_is_submitted_from_what_another_user_made_first(
    workspace: ExpWorkspace, far: Far, spot: Path
) -> None:
    """Who made the folder of this home on a disk for all could replace what its jobs run."""
    folder = far.home(workspace.home.directory)
    folder.mkdir()
    folder.chmod(0o777)
    os.chown(folder, UID, UID)
    run = workspace.start({"one": "true"}, **header(far, spot))
    state = run.wait(timeout=LONG).history.tasks["one"]
    assert state.reason == Reason.LAUNCH
    assert f"{folder} belongs to another user" in str(state.message)
    assert state.job_id is None


def test_what_has_no_room_there_fails_to_start(
    workspace: ExpWorkspace, far: Far, spot: Path, small: Path
) -> None:
    """A task whose files find no room there is a failed launch that says so."""
    tasks = {
        "first": {"inline": until("go"), "executor": "local", "workdir": str(spot)},
        "one": {"inline": "true", "dependencies": ["first"]},
    }
    run = workspace.start(tasks, **header(far, spot, cluster=on(far, small)))
    filler = fill(small)
    (spot / "go").touch()
    state = run.wait(timeout=LONG).history.tasks["one"]
    filler.unlink()
    assert state.reason == Reason.LAUNCH
    assert "could not be uploaded to login" in str(state.message)
    # rsync's own text is lost if its connection ends before it has arrived.
    assert re.search("No space left|exit code 11 .*full disk", str(state.message))


# -- doctor -----------------------------------------------------------------------------------------------


def doctor(options: dict[str, Any]) -> list[dict[str, str | None]]:
    """What `exp doctor` finds ill with an executor of these options."""
    executor = make("cluster", options, {})
    try:
        return [{"message": one.message, "remedy": one.remedy} for one in executor.check() if not one.is_ok]
    finally:
        executor.close()


@pytest.mark.parametrize(
    ("host", "others", "message", "remedy"),
    [
        ("stranger", {}, "the host key of stranger is unknown", "ssh stranger"),
        ("keyless", {}, "requires a password", "exp doctor at a terminal"),
        ("login", {"user": "nobody"}, "accepts none of your keys", "ssh-copy-id"),
        ("login", {"port": 1}, "login cannot be reached", "ssh -v login"),
        ("login", {"job_dir": "/proc/jobs"}, "you may not write to /proc", "tunnel.job_dir"),
        ("login", {"pre_command": "module load x"}, "exit code 127: /bin/sh: ", "correct tunnel.pre_command"),
        ("bare", {}, "bare has no rsync", "install on that host"),
        ("noisy", {}, "login files on noisy print text", "[ -t 1 ]"),
    ],
)
def test_the_doctor_is_right(far: Far, host: str, others: dict[str, Any], message: str, remedy: str) -> None:
    """An unknown host key, a password, a refused key, no way, no room, no rsync: each is told as that."""
    options = far.options(host)
    options["tunnel"] = {**options["tunnel"], **others}
    (found,) = doctor(options)
    assert message in str(found["message"])
    assert remedy in str(found["remedy"])


def test_a_run_that_cannot_log_in_creates_nothing(
    exp: Exp, workspace: ExpWorkspace, far: Far, spot: Path
) -> None:
    """If ssh alone is the trouble, nothing is created and the exit code is 6."""
    spec = workspace.spec({"one": "true"}, **header(far, spot, cluster=far.options("keyless")))
    assert "requires a password" in exp("run", spec, code=6).stderr
    assert not workspace.home.experiments.exists()
