"""Whole experiments that older versions wrote: this version reads, resumes, cancels and repairs them."""

from __future__ import annotations

import fcntl
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import pytest
from engines.far import USER
from support.extent import IS_LONG
from support.patience import eventually
from support.workspace import statuses

from nemorun_cli.cli import app
from nemorun_cli.experiment.maintenance.repair import repair
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus, Reason
from nemorun_cli.storage.ledger import LedgerReader, encode
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.dockerd import Dockerd
    from engines.far import Far
    from support.workspace import Exp

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.views.snapshot import Snapshot

LEDGERS: Final = Path(__file__).parents[1] / "ledgers"
RECORDED: Final = Path("/tmp/exp-older")  # noqa: S108 - where the recorded addresses lead
SOCKET: Final = RECORDED / "docker.sock"
JOB_DIR: Final = RECORDED / "jobs"
LONG: Final = 120.0  # seconds; Slurm takes its time
LIVE: Final = {"PENDING", "SUBMITTED", "RUNNING"}
GATES: Final = ("early", "go")  # the files in an experiment's folder that its tasks wait for


@dataclass(frozen=True)
class Older:
    """An experiment as an older version left it.

    Attributes:
        version: the folder of that version.
        name: of the experiment.
        expected: what that version reported, seen from another host.
    """

    version: Path
    name: str
    expected: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.version.name}:{self.name}"

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """What was reported of each task."""
        found: dict[str, dict[str, Any]] = self.expected["tasks"]
        return found

    @property
    def statuses(self) -> dict[str, str]:
        """Every task's status."""
        return {name: task["status"] for name, task in self.tasks.items()}

    @property
    def is_over(self) -> bool:
        """Whether it had ended."""
        return bool(self.expected["supervisor"] == "ended")

    def unpack(self, home: Path) -> Run:
        """Put it into a home."""
        extract(self.version / f"{self.name}.tar.gz", home / "experiments")
        return find(self.expected["id"], home=Home(home))


def extract(archive: Path, folder: Path) -> None:
    """Extract an archive of this repository, which may hold a FIFO."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="tar")


ALL: Final = [
    Older(record.parent, name, expected)
    for record in sorted(LEDGERS.glob("*/expected.json"))
    for name, expected in json.loads(record.read_bytes()).items()
]


def older(*beginnings: str, is_over: bool | None = None) -> Any:
    """The experiments, as a parameter of a test, whose names begin so and which are over or not."""
    chosen = [one for one in ALL if one.name.startswith(beginnings or "") and is_over in (None, one.is_over)]
    assert chosen
    return pytest.mark.parametrize("older", chosen, ids=str)


@pytest.fixture
def run(older: Older, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The experiment in a home of its own, which is that of the command line, too."""
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path / "home"))
    return older.unpack(tmp_path / "home")


@pytest.fixture
def own(older: Older, exp: Exp) -> Run:
    """The experiment as if this host had run it before a restart, so that its end can be looked up here."""
    run = older.unpack(exp.home)
    moved = [
        {**event, "host": locks.hostname()} if event["event"] == "supervisor_started" else event
        for event in LedgerReader(run.files.ledger).read()
    ]
    run.files.ledger.write_bytes(b"".join(encode([event]) for event in moved))
    run.files.supervisor_lock.write_bytes(b"")  # as after a look here, which holds it without a name
    return run


def command(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What a command prints, which runs in this process."""
    assert app.run(argv) == 0
    return capsys.readouterr().out


def attempts(run: Run) -> dict[str, int]:
    """The number of the latest attempt at each task."""
    return {name: state.attempt for name, state in run.status(observe=False).history.tasks.items()}


def succeeded(run: Run) -> dict[str, int]:
    """The attempts that had succeeded, by the ledger."""
    tasks = run.status(observe=False).history.tasks
    return {name: state.attempt for name, state in tasks.items() if state.status == "SUCCEEDED"}


def folders(run: Run) -> list[Path]:
    """Where the experiment's files are: here, and on the remote host if there is one."""
    return [run.directory, *JOB_DIR.glob(f"*/{run.directory.parent.name}/{run.id}")]


def resume(run: Run, *, host_is_gone: bool = False) -> dict[str, str]:
    """Resume it, let all of its tasks end, and give their statuses."""
    for folder in folders(run):
        for gate in GATES:
            (folder / gate).touch()
    assert run.resume(host_is_gone=host_is_gone)
    return statuses(run.wait(timeout=LONG))


# -- reading ----------------------------------------------------------------------------------------------


@older()
def test_an_older_experiment_has_its_statuses(older: Older, run: Run) -> None:
    """The statuses, attempts, exit codes, reasons and outputs are those that its own version reported."""
    ledger = run.files.ledger.read_bytes()
    document = run.status().to_json()
    assert (document["status"], document["supervisor"]["state"]) == (
        older.expected["status"],
        older.expected["supervisor"],
    )
    tasks = {task["id"]: task for task in document["tasks"]}
    assert {
        name: {key: tasks[name][key] for key in task} for name, task in older.tasks.items()
    } == older.tasks
    assert run.files.ledger.read_bytes() == ledger


@older()
def test_commands_read_an_older_experiment(
    older: Older, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """`status`, `show`, `list`, `why`, `events` and `logs` report what its files contain."""
    shown = json.loads(command(capsys, "status", run.id, "--json"))
    assert {task["id"]: task["status"] for task in shown["tasks"]} == older.statuses
    shown = json.loads(command(capsys, "show", run.id, "--json"))
    assert {task["id"]: len(task["attempts"]) for task in shown["tasks"] if task["directory"]} == {
        name: number
        for name, number in attempts(run).items()
        if run.files.attempt(name, 1).directory.exists()
    }
    (listed,) = json.loads(command(capsys, "list", "--json"))["experiments"]
    assert (listed["id"], listed["status"]) == (run.id, older.expected["status"])
    for name in older.tasks:
        (explained,) = json.loads(command(capsys, "why", run.id, name, "--json"))["tasks"]
        assert explained["status"] == older.tasks[name]["status"]
    lines = command(capsys, "events", run.id, "--json").splitlines()
    assert [json.loads(line)["event"] for line in lines] == [
        event["event"] for event in LedgerReader(run.files.ledger).read()
    ]
    lines = command(capsys, "logs", run.id).splitlines()
    assert sorted(line.partition(" | ")[2] for line in lines) == sorted(
        line
        for name, number in attempts(run).items()
        if (log := run.files.attempt(name, number).log).exists()
        for line in log.read_text(encoding="utf-8").splitlines()
    )


@older()
def test_a_check_of_an_older_experiment_finds_what_it_found_then(
    older: Older, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """`fsck` takes nothing for damage that its own version did not."""
    ledger = run.files.ledger.read_bytes()
    document = json.loads(command(capsys, "fsck", run.id, "--json"))
    assert [finding["kind"] for finding in document["findings"]] == older.expected["findings"]
    assert run.files.ledger.read_bytes() == ledger


# -- changing ---------------------------------------------------------------------------------------------


def damage(run: Run, event: str) -> None:
    """Overwrite the first line of the ledger that holds such an event."""
    lines = run.files.ledger.read_bytes().splitlines(keepends=True)
    number = next(number for number, line in enumerate(lines) if f'"event":"{event}"'.encode() in line)
    run.files.ledger.write_bytes(b"".join([*lines[:number], b"rubbish\n", *lines[number + 1 :]]))


def ended(older: Older) -> dict[str, str]:
    """The status of each task that ended with an exit code."""
    return {name: task["status"] for name, task in older.tasks.items() if task["exit_code"] is not None}


@older()
def test_the_damaged_ledger_of_an_older_experiment_is_repaired(older: Older, own: Run) -> None:
    """`fsck --repair` sets it aside, and the new one is sound and has the end of every task."""
    damage(own, "submitted")
    examination, done = repair(own.files, home=own.home.directory)
    assert done is not None
    assert not examination.is_sound
    assert ended(older).items() <= statuses(own.status(observe=False)).items()
    assert repair(own.files, home=own.home.directory)[1] is None


@older("local", "handlers", "search")
def test_an_end_that_the_ledger_lost_is_found_in_the_attempt(older: Older, own: Run) -> None:
    """After a repair a look reads from the attempt's own record how a task ended."""
    damage(own, "ended")
    repair(own.files, home=own.home.directory)
    assert ended(older).items() <= statuses(own.status()).items()


@older("search")
def test_a_repair_finds_what_was_reused(own: Run) -> None:
    """A task with an earlier result has it in the rebuilt ledger too, whichever line was lost."""
    fields = ("status", "attempt", "reason", "cached_from", "fingerprint", "parts", "outputs", "exit_code")

    def results() -> dict[str, Any]:
        tasks = own.status(observe=False).history.tasks
        cached = {name: state for name, state in tasks.items() if state.cached_from is not None}
        return {name: {field: getattr(state, field) for field in fields} for name, state in cached.items()}

    wanted = results()
    assert wanted.keys() == {"prepare", "train/seed=1", "train/seed=2"}
    lines = own.files.ledger.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        own.files.ledger.write_bytes(b"".join([*lines[:number], *lines[number + 1 :]]))
        repair(own.files, home=own.home.directory)
        assert results() == wanted, line


@older(is_over=False)
def test_an_older_experiment_of_a_lost_host_is_cancelled(older: Older, run: Run) -> None:
    """Without asking an engine, all is CANCELLED that had not ended by the ledger or by its own record."""
    cancelled = {
        name
        for name, task in older.tasks.items()
        if task["status"] in LIVE and not run.files.attempt(name, 1).exit.exists()
    }
    snapshot = run.cancel(abandon=True)
    assert snapshot.is_over
    found = statuses(snapshot)
    assert {name for name in found if found[name] in LIVE} == set()
    assert {name: found[name] for name in cancelled} == dict.fromkeys(cancelled, "CANCELLED")
    ended = {name: status for name, status in older.statuses.items() if status not in LIVE}
    assert ended.items() <= found.items()


@older("local", "handlers", is_over=False)
def test_an_older_experiment_of_a_lost_host_is_resumed(older: Older, exp: Exp) -> None:
    """With `--host-is-gone` it runs to its end, and nothing that had succeeded runs again."""
    run = older.unpack(exp.home)
    before = succeeded(run)
    assert set(resume(run, host_is_gone=True).values()) <= {"SUCCEEDED", "SKIPPED"}
    assert run.status().status is ExperimentStatus.COMPLETED
    assert before.items() <= attempts(run).items()


def look(run: Run) -> Snapshot:
    """Look until the end of every attempt is known that the engines can tell of."""
    known = (ExperimentStatus.INTERRUPTED, ExperimentStatus.FAILED)
    snapshot: Snapshot = eventually(lambda: (seen := run.status()).status in known and seen, within=LONG)
    return snapshot


def check_resumed(older: Older, run: Run) -> None:
    """See that a look finds how tasks ended, and that a resume completes it and repeats no success."""
    records = [(name, f"tasks/{name}/attempt-1/exit.json") for name in older.tasks]
    unseen = {
        name
        for name, record in records
        for folder in folders(run)
        if (path := folder / record).exists() and json.loads(path.read_bytes()) == {"exit_code": 0}
    }
    look(run)
    before = succeeded(run)
    assert unseen <= before.keys()
    assert set(resume(run).values()) <= {"SUCCEEDED", "SKIPPED"}
    assert before.items() <= attempts(run).items()


@older("local", "handlers", *(("search",) if IS_LONG else ()), is_over=False)
def test_an_older_experiment_is_resumed_after_a_restart(older: Older, own: Run) -> None:
    """On its own host it is completed, and what succeeded after its supervisor died is not run again."""
    check_resumed(older, own)


@older("local-failed", "local-cancelled", "handlers-failed")
def test_an_older_experiment_that_had_ended_is_resumed(older: Older, exp: Exp) -> None:
    """What failed, was cancelled or skipped runs again as new attempts, and nothing else does."""
    run = older.unpack(exp.home)
    before = succeeded(run)
    resume(run)
    assert run.status().status is ExperimentStatus.COMPLETED
    assert {name: attempts(run)[name] for name in before if not name.startswith("on_")} == {
        name: number for name, number in before.items() if not name.startswith("on_")
    }


def argvs(run: Run, number: int) -> dict[str, list[str]]:
    """What runs the inline text of each task that had this attempt."""
    plans = {
        task.id: run.files.attempt(task.id, number).plan for task in run.spec().tasks if task.kind == "inline"
    }
    return {name: json.loads(plan.read_bytes())["argv"] for name, plan in plans.items() if plan.exists()}


def test_inline_texts_of_an_older_experiment_run_as_they_began(
    exp: Exp, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resume, also with a changed spec, keeps plain bash; a rerun does not, and the difference is shown."""
    monkeypatch.setenv("NEMORUN_HOME", str(exp.home))
    (older,) = (each for each in ALL if each.name == "local-failed")
    run = older.unpack(exp.home)
    change = ["--set", "tasks.slow.timeout=2h", "--set", 'tasks.below.inline="false; echo below"']
    document = json.loads(command(capsys, "resume", run.id, *change, "--dry-run", "--json"))
    assert {each["path"]: each["tasks"] for each in document["changes"]} == {
        "timeout": ["slow"],
        "inline": ["below"],
    }
    assert document["unaccepted"] == []
    (run.directory / "go").touch()
    assert command(capsys, "resume", run.id, *change, "-d").strip() == run.id
    assert statuses(run.wait(timeout=LONG)) == dict.fromkeys(older.tasks, "SUCCEEDED")
    assert {tuple(argv[:-1]) for argv in argvs(run, 2).values()} == {("bash",)}
    assert not run.spec().strict_inline
    explicit = ["--set", "tasks.below.entrypoint=[bash, -e, -o, pipefail]"]
    document = json.loads(command(capsys, "resume", run.id, *explicit, "--dry-run", "--json"))
    assert [each["path"] for each in document["changes"]] == ["entrypoint"]

    again = command(capsys, "rerun", run.id, "--set", "tasks.slow.timeout=0.1s", "-d").strip()
    found = find(again, home=run.home)
    found.wait(timeout=LONG)
    assert {tuple(argv[:-1]) for argv in argvs(found, 1).values()} == {("bash", "-e", "-o", "pipefail")}
    document = json.loads(command(capsys, "diff", run.id, again, "--json"))
    changed = {name for each in document["spec"] if each["path"] == "entrypoint" for name in each["tasks"]}
    assert changed == older.tasks.keys()
    assert "strict_inline" not in json.dumps(document)


# -- on their engines -------------------------------------------------------------------------------------


def check_cancelled(older: Older, run: Run) -> None:
    """See that a resumed one runs again what did not succeed, and that a cancel ends it."""
    look(run)
    before = succeeded(run)
    assert run.resume()
    eventually(lambda: run.status().history.tasks["running"].status == "RUNNING", within=LONG)
    snapshot = run.cancel()
    assert snapshot.status is ExperimentStatus.CANCELLED
    assert before.items() <= attempts(run).items()
    assert {name for name, status in statuses(snapshot).items() if status == "SUCCEEDED"} == before.keys()
    assert before.keys() >= {name for name, status in older.statuses.items() if status == "SUCCEEDED"}


@pytest.fixture
def recorded() -> Iterator[None]:
    """The folder in which the experiments look for engines, for one test at a time."""
    with RECORDED.with_suffix(".lock").open("w", encoding="ascii") as lock:
        eventually(lambda: has_locked(lock), within=LONG)
        shutil.rmtree(RECORDED, ignore_errors=True)  # what a test left that was killed
        RECORDED.mkdir()
        yield
        shutil.rmtree(RECORDED)


def has_locked(file: IO[str]) -> bool:
    """Whether nobody else has the lock; then it is taken."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.fixture
def docker(docker_engine: Dockerd, recorded: None) -> None:
    """An engine at the address that the experiments recorded."""
    del recorded
    SOCKET.symlink_to(docker_engine.host.removeprefix("unix://"))


@pytest.fixture
def remote(older: Older, far: Far, recorded: None) -> None:
    """The experiment's folder on the remote host, as its jobs left it."""
    del far, recorded
    JOB_DIR.mkdir()
    extract(older.version / f"{older.name}.remote.tar.gz", JOB_DIR)
    for path in (JOB_DIR, *JOB_DIR.rglob("*")):
        shutil.chown(path, USER, USER)


@older("docker", is_over=False)
@pytest.mark.usefixtures("docker")
def test_an_older_experiment_is_resumed_in_docker(older: Older, own: Run) -> None:
    """What the engine no longer has is lost and runs again, and what ended with a record does not."""
    check_resumed(older, own)


@older("docker-interrupted")
@pytest.mark.usefixtures("docker")
def test_an_older_experiment_is_cancelled_in_docker(older: Older, own: Run) -> None:
    """Its new containers are ended, and what had succeeded stays SUCCEEDED."""
    check_cancelled(older, own)


@older("slurm", is_over=False)
@pytest.mark.usefixtures("slurm")
def test_an_older_experiment_is_resumed_on_slurm(older: Older, own: Run) -> None:
    """What was queued early, did not start, or was lost runs again; what ended with a record does not."""
    check_resumed(older, own)


def check_timed_out(older: Older, run: Run) -> None:
    """See that a failure after Slurm's notice of the time limit is a timeout."""
    assert older.statuses["fails"] == "RUNNING"
    state = look(run).history.tasks["fails"]
    assert (state.status, state.exit_code, state.reason) == ("FAILED", 5, Reason.TIMEOUT)


def check_stood_back(older: Older, run: Run) -> None:
    """See that a task whose job did not run it is PENDING, and that the ledger says why."""
    assert {older.statuses[name] for name in ("train", "clean")} == {"SUBMITTED"}
    assert statuses(look(run)) == {"prepare": "SUCCEEDED", "train": "PENDING", "clean": "PENDING"}
    returned = [event for event in LedgerReader(run.files.ledger).read() if event["event"] == "returned"]
    assert {event["task"] for event in returned} == {"train", "clean"}
    assert all("did not permit it to run" in event["message"] for event in returned)


@older("slurm-near-its-limit-interrupted")
@pytest.mark.usefixtures("slurm")
def test_an_older_attempt_near_its_limit_has_timed_out(older: Older, own: Run) -> None:
    """The file that marks Slurm's notice is known, though no supervisor saw the attempt end."""
    check_timed_out(older, own)


@older("tunnel-near-its-limit-interrupted")
@pytest.mark.usefixtures("remote")
def test_an_older_attempt_near_its_limit_has_timed_out_remotely(older: Older, own: Run) -> None:
    """The file that marks Slurm's notice is fetched from the remote host."""
    check_timed_out(older, own)


@older("slurm-stood-back")
@pytest.mark.usefixtures("slurm")
def test_an_older_job_that_did_not_run_its_task_is_recognized(older: Older, own: Run) -> None:
    """The file that marks a job which left its task to the supervisor is known."""
    check_stood_back(older, own)


@older("tunnel-stood-back")
@pytest.mark.usefixtures("remote")
def test_an_older_job_that_did_not_run_its_task_is_recognized_remotely(older: Older, own: Run) -> None:
    """The file that marks a job which left its task to the supervisor is fetched from the remote host."""
    check_stood_back(older, own)


@older("slurm-interrupted")
@pytest.mark.usefixtures("slurm")
def test_an_older_experiment_is_cancelled_on_slurm(older: Older, own: Run) -> None:
    """Its new jobs are ended, and what had succeeded stays SUCCEEDED."""
    check_cancelled(older, own)


@older("tunnel", is_over=False)
@pytest.mark.usefixtures("remote")
def test_an_older_experiment_is_resumed_through_a_tunnel(older: Older, own: Run) -> None:
    """What the remote host holds of its attempts is fetched from the folder that was recorded."""
    check_resumed(older, own)


@older("tunnel-interrupted")
@pytest.mark.usefixtures("remote")
def test_an_older_experiment_is_cancelled_through_a_tunnel(older: Older, own: Run) -> None:
    """Its new jobs are ended, and what had succeeded stays SUCCEEDED."""
    check_cancelled(older, own)
