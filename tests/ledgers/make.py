"""Makes whole experiments with this version of `exp`, which later versions have to read, resume and repair.

    LEDGERS_VERSION=0.2.0 python -m pytest tests/ledgers/make.py

Writes an archive 0.2.0/NAME.tar.gz of each experiment's folder, and records in 0.2.0/expected.json what `exp`
reported about it. The experiments run on the real engines of the tests, which only root can start; pytest
provides their fixtures, and collects this module only if it is named. `-k slurm` makes some of them again.

The experiments run under /srv/exp, on a host called node1 and with a copy of this package, so that no file of
them names the machine that made them; `store` verifies that.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import pytest
from engines.far import USER
from engines.sshd import LOGIN
from support.patience import eventually

import nemorun_cli
from nemorun_cli.executors.slurm import submissions
from nemorun_cli.executors.slurm.dependency import DECLINED
from nemorun_cli.executors.slurm.job_script import NEAR_LIMIT
from nemorun_cli.executors.slurm.remote import cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engines.slurm_cluster import Slurm

LEDGERS: Final = Path(__file__).resolve().parent
REPOSITORY: Final = LEDGERS.parents[1]
VERSION: Final = (
    "LEDGERS_VERSION"  # the variable that names the version; tests remove all that begin with EXP_
)
STAGE: Final = Path("/srv/exp")
HOST: Final = "node1"
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
BOOT: Final = "6f1c0de5-0000-4000-8000-0123456789ab"
RECORDED: Final = Path("/tmp/exp-older")  # noqa: S108 - addresses of engines; tests make it again
SOCKET: Final = RECORDED / "docker.sock"
JOB_DIR: Final = RECORDED / "jobs"
TIMEOUT: Final = 300.0  # seconds that one command or condition may take; Slurm announces a time limit late
GATES: Final = ("early", "go")  # files in the experiment's folder that let its tasks end
TASK_FIELDS: Final = ("status", "attempt", "exit_code", "reason", "outputs")

# As root of a namespace of its own, in which the machine has another name and another boot id.
RENAMED: Final = f'hostname {HOST} && mount --bind {STAGE}/boot_id {BOOT_ID} && exec "$@"'


def until(gate: str) -> str:
    """Shell text that waits for a gate; `go` is never opened before an experiment is stored."""
    assert gate in GATES
    return f'until [ -e "$EXP_DIR/{gate}" ]; do sleep 0.1; done'


# -- the machine ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """The neutral machine: a home, a working folder, and the command `exp`."""

    env: Mapping[str, str]

    @property
    def home(self) -> Path:
        """Its `NEMORUN_HOME`."""
        return STAGE / "home"

    def exp(self, *args: str, codes: tuple[int, ...] = (0,), is_renamed: bool = True) -> str:
        """Run the command to its end; gives what it printed.

        Args:
            args: of the command.
            codes: the exit codes that are right.
            is_renamed: whether it runs on the neutral machine, or on another one that shares its files.
        """
        renaming = ["unshare", "--uts", "--mount", "--", "sh", "-c", RENAMED, "sh"] if is_renamed else []
        done = subprocess.run(
            [*renaming, str(STAGE / "venv" / "bin" / "exp"), *args],
            env=self.env,
            cwd=STAGE / "work",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode in codes, f"exp {args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def spec(self, name: str, document: Mapping[str, Any]) -> str:
        """Write a spec into the working folder."""
        path = STAGE / "work" / f"{name}.yaml"
        path.write_text(json.dumps({"version": 1, "name": name, **document}, indent=1), encoding="utf-8")
        return str(path)


def set_up() -> None:
    """Make the folders, a copy of this package and a command `exp` that runs it."""
    STAGE.mkdir(parents=True)  # fails if it is there: it is removed in the end
    for name in ("home", "work", "user"):
        (STAGE / name).mkdir()
    (STAGE / "boot_id").write_text(f"{BOOT}\n", encoding="ascii")
    venv.create(STAGE / "venv", symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = STAGE / "venv" / "lib" / version / "site-packages"
    package = Path(nemorun_cli.__file__).parent
    shutil.copytree(package, packages / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    if not (packages / package.name / "schemas").exists():  # a checkout has them beside the package
        shutil.copytree(package.parent / "schemas", packages / package.name / "schemas")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    command = STAGE / "venv" / "bin" / "exp"
    lines = [f"#!{command.with_name('python')}", "import sys", "from nemorun_cli.__main__ import main"]
    command.write_text("\n".join([*lines, "sys.exit(main())", ""]), encoding="utf-8")
    command.chmod(0o755)


@pytest.fixture(scope="session")
def stage() -> Iterator[Path]:
    """The neutral folders, and the remote user's; they are removed in the end."""
    set_up()
    RECORDED.mkdir()
    yield STAGE
    shutil.rmtree(RECORDED)
    shutil.rmtree(STAGE)


@pytest.fixture
def machine(recipe: Recipe, stage: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """The neutral machine, from which all engines can be reached if the recipe needs one."""
    links, variables = {}, {}
    if "executors" in recipe.document:
        slurm: Slurm = request.getfixturevalue("slurm")
        request.getfixturevalue("docker_engine")  # which sets the variables that lead to it, as `far` does
        request.getfixturevalue("far")
        JOB_DIR.mkdir(parents=True, exist_ok=True)
        shutil.chown(JOB_DIR, USER, USER)
        ssh, socket = shutil.which("ssh"), os.environ["DOCKER_HOST"].removeprefix("unix://")
        assert ssh is not None
        links = {SOCKET: Path(socket), stage / "ssh": Path(ssh).parent}
        variables = {"DOCKER_HOST": f"unix://{SOCKET}", "SLURM_CONF": str(slurm.folder / "slurm.conf")}
    for link, target in links.items():
        link.symlink_to(target)
    path = os.pathsep.join([f"{stage}/ssh", f"{stage}/venv/bin", "/usr/local/bin", "/usr/bin", "/bin"])
    yield Machine(
        {
            "PATH": path,
            "HOME": str(stage / "user"),
            "LOGNAME": "user",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "NEMORUN_HOME": str(stage / "home"),
            **variables,
        }
    )
    for link in links:
        link.unlink()


# -- one experiment ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Experiment:
    """An experiment that was started on the neutral machine."""

    machine: Machine
    id: str

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self.machine.home / "experiments" / self.id.rpartition("_")[0] / self.id

    @property
    def remote(self) -> Path | None:
        """Where its files are on the remote host, if there is one."""
        note = self.directory / submissions.FOLDER / cluster.NOTE
        return Path(json.loads(note.read_bytes())["folder"]) if note.exists() else None

    def status(self, *, is_renamed: bool = True) -> dict[str, Any]:
        """The document of `exp status --json`."""
        document: dict[str, Any] = json.loads(
            self.machine.exp("status", self.id, "--json", codes=tuple(range(10)), is_renamed=is_renamed)
        )
        return document

    def statuses(self) -> dict[str, str]:
        """Every task's status."""
        return {task["id"]: task["status"] for task in self.status()["tasks"]}

    def await_statuses(self, **wanted: str) -> None:
        """Wait until tasks have these statuses."""
        eventually(lambda: wanted.items() <= self.statuses().items(), within=TIMEOUT)

    def open(self, gate: str) -> None:
        """Let the tasks end that wait for this gate, on the remote host too."""
        assert gate in GATES
        for directory in (self.directory, self.remote):
            if directory is not None:
                (directory / gate).touch()

    def kill_supervisor(self) -> None:
        """End the supervisor as a crash would."""
        pid = self.status()["supervisor"]["pid"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(pid))

    def await_file(self, task: str, name: str) -> None:
        """Wait for a file of the first attempt at a task, and write nothing into the ledger."""
        directory = (self.remote or self.directory) / "tasks" / task / "attempt-1"
        eventually((directory / name).exists, within=TIMEOUT)


# -- what is made -----------------------------------------------------------------------------------------

SLURM: Final[dict[str, Any]] = {"type": "slurm", "env_inherit": "none"}
TUNNEL: Final[dict[str, Any]] = {**SLURM, "tunnel": {"host": LOGIN, "job_dir": str(JOB_DIR)}}
ENGINES: Final[dict[str, dict[str, Any]]] = {
    "local": {"executor": "local", "defaults": {"workdir": "/tmp"}},  # noqa: S108 - which every machine has
    "docker": {
        "executors": {"box": {"type": "docker", "image": "exp-test/busybox"}},
        "executor": "box",
        "defaults": {"entrypoint": "sh", "workdir": "/tmp"},  # noqa: S108 - the same
    },
    "slurm": {
        "executors": {"cluster": SLURM},
        "executor": "cluster",
        "defaults": {"workdir": "/tmp"},  # noqa: S108 - the same
    },
    "tunnel": {
        "executors": {"cluster": TUNNEL},
        "executor": "cluster",
        "defaults": {"workdir": "/tmp"},  # noqa: S108 - the same
    },
}


@dataclass(frozen=True)
class Recipe:
    """How one experiment is made.

    Attributes:
        name: of the experiment.
        document: its spec, without version and name.
        drive: what is done after the start, until it is stored.
        wanted: every task's status then, by the ledger.
        earlier: the spec of an experiment that runs to its end before.
    """

    name: str
    document: Mapping[str, Any]
    wanted: Mapping[str, str]
    drive: Callable[[Experiment], None]
    earlier: Mapping[str, Any] | None = None


def to_the_end(experiment: Experiment) -> None:
    """Wait for the end."""
    experiment.machine.exp("wait", experiment.id, codes=tuple(range(10)))


def finished(engine: str) -> Recipe:
    """All tasks succeeded: with outputs, a matrix, a retry and a failure that is allowed."""
    tasks = {
        "prepare": {"inline": 'echo prepared; echo "rows:=3" >>"$EXP_OUTPUT"'},
        "train": {
            "inline": 'echo "seed $1 rows $2"; echo "loss:=0.$1" >>"$EXP_OUTPUT"',
            "args": ["${{ matrix.seed }}", "${{ tasks.prepare.outputs.rows }}"],
            "matrix": {"seed": [1, 2]},
            "dependencies": ["prepare"],
        },
        "flaky": {"inline": "exit $((2 - EXP_ATTEMPT))", "retry": {"limit": 1}},
        "optional": {"inline": "exit 1", "allow_failure": True},
        "report": {"command": ["echo", "reported"], "dependencies": ["train", "optional"]},
    }
    wanted = {
        "prepare": "SUCCEEDED",
        "train/seed=1": "SUCCEEDED",
        "train/seed=2": "SUCCEEDED",
        "flaky": "SUCCEEDED",
        "optional": "FAILED",
        "report": "SUCCEEDED",
    }
    return Recipe(f"{engine}-finished", {**ENGINES[engine], "tasks": tasks}, wanted, to_the_end)


def failed(engine: str) -> Recipe:
    """Tasks failed by their exit code and by their timeout, and others were skipped."""
    tasks = {
        "well": {"inline": "echo well"},
        "bad": {"inline": 'echo bad; test -e "$EXP_DIR/go" || exit 3', "dependencies": ["well"]},
        "below": {"inline": "echo below", "dependencies": ["bad"]},
        "slow": {"inline": until("go"), "timeout": "1s"},
        "anyway": {"inline": "echo anyway", "dependencies": ["bad"], "dependency_type": "afterany"},
    }
    wanted = {
        "well": "SUCCEEDED",
        "bad": "FAILED",
        "below": "SKIPPED",
        "slow": "FAILED",
        "anyway": "SUCCEEDED",
    }
    return Recipe(f"{engine}-failed", {**ENGINES[engine], "tasks": tasks}, wanted, to_the_end)


def interrupted(engine: str) -> Recipe:
    """The supervisor was killed: `unseen` ended after that, and `running` was still running."""
    tasks = {
        "well": {"inline": 'echo well; echo "rows:=3" >>"$EXP_OUTPUT"'},
        "bad": {"inline": 'echo bad; test -e "$EXP_DIR/go" || exit 3'},
        "unseen": {"inline": f'echo unseen; {until("early")}; echo "x=1" >>"$EXP_OUTPUT"'},
        "running": {"inline": f"echo running; {until('go')}"},
        "below": {"inline": "echo below", "dependencies": ["running"]},
    }
    is_slurm = engine in ("slurm", "tunnel")
    wanted = {
        "well": "SUCCEEDED",
        "bad": "FAILED",
        "unseen": "RUNNING",
        "running": "RUNNING",
        "below": "SUBMITTED" if is_slurm else "PENDING",  # it waits in Slurm's queue
    }

    def drive(experiment: Experiment) -> None:
        experiment.await_statuses(**wanted)
        if is_slurm:
            eventually(lambda: all(task["job_id"] for task in experiment.status()["tasks"]))
        experiment.kill_supervisor()
        experiment.open("early")
        experiment.await_file("unseen", "exit.json")

    return Recipe(f"{engine}-interrupted", {**ENGINES[engine], "tasks": tasks}, wanted, drive)


def cancelled() -> Recipe:
    """Everything was cancelled by the user."""
    tasks = {
        "well": {"inline": "echo well"},
        "running": {"inline": f"echo running; {until('go')}"},
        "below": {"inline": "echo below", "dependencies": ["running"]},
    }

    def drive(experiment: Experiment) -> None:
        experiment.await_statuses(well="SUCCEEDED", running="RUNNING")
        experiment.machine.exp("cancel", experiment.id)
        to_the_end(experiment)

    wanted = {"well": "SUCCEEDED", "running": "CANCELLED", "below": "CANCELLED"}
    return Recipe("local-cancelled", {**ENGINES["local"], "tasks": tasks}, wanted, drive)


def revised() -> Recipe:
    """It failed, and a resume with a changed spec completed it: it has two revisions."""
    tasks = {
        "well": {"inline": "echo well"},
        "bad": {"command": ["sh", "-c", "exit ${{ params.code }}"], "dependencies": ["well"]},
        "below": {"inline": "echo below", "dependencies": ["bad"]},
    }

    def drive(experiment: Experiment) -> None:
        to_the_end(experiment)
        experiment.machine.exp("resume", experiment.id, "--detach", "--accept-changes", "-p", "code=0")
        to_the_end(experiment)

    wanted = dict.fromkeys(tasks, "SUCCEEDED")
    document = {**ENGINES["local"], "params": {"code": 3}, "tasks": tasks}
    return Recipe("local-revised", document, wanted, drive)


HANDLERS: Final[dict[str, Any]] = {
    "on_success": {"publish": {"inline": 'echo "$EXP_STATUS"'}},
    "on_failure": {"alarm": {"inline": 'echo "$EXP_STATUS $EXP_FAILED_TASKS"'}},
    "on_exit": {"clean": {"inline": 'echo "$EXP_STATUS"'}},
}


def handlers(outcome: str) -> Recipe:
    """Handlers ran after a success or a failure."""
    has_failed = outcome == "failed"
    tasks = {"work": {"inline": f'echo work; test -e "$EXP_DIR/go" || exit {3 if has_failed else 0}'}}
    wanted = {
        "work": "FAILED" if has_failed else "SUCCEEDED",
        "on_success/publish": "SKIPPED" if has_failed else "SUCCEEDED",
        "on_failure/alarm": "SUCCEEDED" if has_failed else "SKIPPED",
        "on_exit/clean": "SUCCEEDED",
    }
    document = {**ENGINES["local"], "tasks": tasks, **HANDLERS}
    return Recipe(f"handlers-{outcome}", document, wanted, to_the_end)


def handlers_interrupted() -> Recipe:
    """The supervisor was killed while a handler ran."""
    publish = {"publish": {"inline": f"echo publish; {until('go')}"}}
    wanted = {
        "work": "SUCCEEDED",
        "on_success/publish": "RUNNING",
        "on_failure/alarm": "SKIPPED",
        "on_exit/clean": "PENDING",
    }

    def drive(experiment: Experiment) -> None:
        experiment.await_statuses(**wanted)
        experiment.kill_supervisor()

    document = {**ENGINES["local"], "tasks": {"work": {"inline": "echo work"}}, **HANDLERS}
    return Recipe("handlers-interrupted", {**document, "on_success": publish}, wanted, drive)


def are_queued(experiment: Experiment) -> bool:
    """Whether Slurm has a job for every task."""
    return all(task["job_id"] for task in experiment.status()["tasks"])


def sweep(end: str) -> Recipe:
    """An array waited in Slurm's queue for another one, member for member, and two tasks for both."""
    seeds = {"seed": [1, 2, 3]}
    train = f'{until("go")}; echo "$1"' if end == "interrupted" else '[ "$1" != 2 ]'
    tasks = {
        "train": {"inline": train, "args": ["${{ matrix.seed }}"], "matrix": seeds},
        "test": {
            "inline": "echo tested",
            "matrix": seeds,
            "dependencies": [{"task": "train", "same": "matrix"}],
        },
        "best": {"inline": "echo best", "dependencies": ["test"]},
        "report": {
            "inline": "echo reported",
            "dependencies": ["train", "test"],
            "dependency_type": "afterany",
        },
    }
    members = [f"{task}/seed={seed}" for task in ("train", "test") for seed in seeds["seed"]]

    def drive(experiment: Experiment) -> None:
        if end == "failed":
            to_the_end(experiment)
            return
        experiment.await_statuses(**{f"train/seed={seed}": "RUNNING" for seed in seeds["seed"]})
        eventually(lambda: are_queued(experiment), within=TIMEOUT)
        experiment.kill_supervisor()

    if end == "failed":
        wanted = dict.fromkeys([*members, "report"], "SUCCEEDED")
        wanted |= {"train/seed=2": "FAILED", "test/seed=2": "SKIPPED", "best": "SKIPPED"}
    else:
        wanted = dict.fromkeys(members[:3], "RUNNING")
        wanted |= dict.fromkeys([*members[3:], "best", "report"], "SUBMITTED")
    return Recipe(f"slurm-sweep-{end}", {**ENGINES["slurm"], "tasks": tasks}, wanted, drive)


def stood_back(engine: str) -> Recipe:
    """Without a supervisor, a job that waited in Slurm's queue could not tell whether it may run its task."""
    tasks = {
        "prepare": {"inline": f'{until("early")}; echo \'x:={{"a": 1}}\' >>"$EXP_OUTPUT"'},
        "train": {"inline": "echo trained", "dependencies": ["prepare"]},
        "clean": {"inline": "echo clean", "dependencies": ["train"], "dependency_type": "afterany"},
    }

    def drive(experiment: Experiment) -> None:
        experiment.await_statuses(prepare="RUNNING")
        eventually(lambda: are_queued(experiment), within=TIMEOUT)
        experiment.kill_supervisor()
        experiment.open("early")
        for task in ("train", "clean"):
            experiment.await_file(task, DECLINED)

    wanted = {"prepare": "RUNNING", "train": "SUBMITTED", "clean": "SUBMITTED"}
    return Recipe(f"{engine}-stood-back", {**ENGINES[engine], "tasks": tasks}, wanted, drive)


def near_its_limit(engine: str, end: str) -> Recipe:
    """Slurm announced the time limit of tasks: one failed then, one saved its work."""
    on_notice = "trap 'echo told; exit %d' USR1; while ! [ -e \"$EXP_DIR/go\" ]; do sleep 0.1; done"
    tasks = {"fails": {"inline": on_notice % 5}, "saves": {"inline": on_notice % 0}}
    cluster = {**ENGINES[engine]["executors"]["cluster"], "time": "1", "signal": "USR1@50"}

    def drive(experiment: Experiment) -> None:
        if end == "failed":
            to_the_end(experiment)
            return
        experiment.await_statuses(fails="RUNNING", saves="RUNNING")
        experiment.kill_supervisor()
        for task in tasks:
            experiment.await_file(task, NEAR_LIMIT)
            experiment.await_file(task, "exit.json")

    document = {**ENGINES[engine], "executors": {"cluster": cluster}, "tasks": tasks}
    wanted = {"fails": "FAILED", "saves": "SUCCEEDED"} if end == "failed" else dict.fromkeys(tasks, "RUNNING")
    return Recipe(f"{engine}-near-its-limit-{end}", document, wanted, drive)


def search_and_reuse() -> Recipe:
    """A search with a pruned trial, and tasks that got earlier results or whose own is kept."""
    points = [0.5, 4.0, 0.75]
    gate = f'test "$1" != 0.75 || {{ {until("go")}; }}'
    reused = {
        "prepare": {"inline": 'echo prepared; echo "rows:=3" >>"$EXP_OUTPUT"', "cache": True},
        "train": {
            "inline": 'echo "seed $1 rows $2"; echo "loss:=0.$1" >>"$EXP_OUTPUT"',
            "args": ["${{ matrix.seed }}", "${{ tasks.prepare.outputs.rows }}"],
            "matrix": {"seed": [1, 2]},
            "dependencies": ["prepare"],
            "best": {"metric": "outputs.loss", "goal": "minimize"},
            "cache": True,
        },
    }
    tasks = {
        **reused,
        "new": {
            "inline": 'echo "$1"',
            "args": ["${{ tasks.train.best.params.seed }}"],
            "dependencies": ["train"],
            "cache": {"also": [1]},
        },
        "tune": {
            "inline": f'echo "loss $1"; test "$1" != 4.0 || sleep 300; {gate}',
            "args": ["${{ search.x }}"],
            "dependencies": ["new"],
            "metrics": {"train": r"loss (?P<loss>\S+)"},
            "search": {
                "params": {"x": {"type": "float", "low": 0, "high": 5}},
                "start_with": [{"x": point} for point in points],
                "metric": "train/loss",
                "goal": "minimize",
                "trials": len(points),
                "max_parallel": 1,
                "sampler": "random",
                "seed": 1,
                "pruner": {"type": "threshold", "upper": 3},
            },
        },
        "report": {"command": ["echo", "${{ tasks.tune.best.params.x }}"], "dependencies": ["tune"]},
    }
    ended = ("prepare", "train/seed=1", "train/seed=2", "new", "tune/trial-0001", "tune/trial-0002")
    running = "tune/trial-0003"
    wanted = {**dict.fromkeys(ended, "SUCCEEDED"), running: "RUNNING", "report": "PENDING"}

    def drive(experiment: Experiment) -> None:
        experiment.await_statuses(**{running: "RUNNING"})
        experiment.kill_supervisor()

    local = ENGINES["local"]
    earlier = {**local, "tasks": reused}
    return Recipe("search-and-reuse", {**local, "tasks": tasks}, wanted, drive, earlier=earlier)


def recipes() -> Iterator[Recipe]:
    """All that is made."""
    for engine in ENGINES:
        yield from (finished(engine), failed(engine), interrupted(engine))
    yield from (cancelled(), revised())
    yield search_and_reuse()
    yield from (handlers("finished"), handlers("failed"), handlers_interrupted())
    yield from (sweep("failed"), sweep("interrupted"))
    for engine in ("slurm", "tunnel"):
        yield from (
            stood_back(engine),
            near_its_limit(engine, "failed"),
            near_its_limit(engine, "interrupted"),
        )


# -- storing ----------------------------------------------------------------------------------------------


def make(recipe: Recipe, on: Machine, target: Path) -> dict[str, Any]:
    """Run one experiment, store its folder, and give what is known of it."""
    if recipe.earlier is not None:
        on.exp("run", on.spec("earlier", recipe.earlier), "--quiet")
    experiment = Experiment(on, on.exp("run", on.spec(recipe.name, recipe.document), "--detach").strip())
    try:
        recipe.drive(experiment)
        # Seen from another host: on its own one, `exp status` would record how interrupted tasks ended.
        status = experiment.status(is_renamed=False)
        assert {task["id"]: task["status"] for task in status["tasks"]} == recipe.wanted, status
        found = json.loads(on.exp("fsck", experiment.id, "--json", codes=(0, 7), is_renamed=False))
        store(experiment.directory, on.home / "experiments", target / f"{recipe.name}.tar.gz")
        if experiment.remote is not None and status["supervisor"]["state"] != "ended":
            store(experiment.remote, JOB_DIR, target / f"{recipe.name}.remote.tar.gz")
    finally:
        on.exp("cancel", experiment.id, "--grace", "0s", codes=tuple(range(10)))
        to_the_end(experiment)
    return {
        "id": experiment.id,
        "status": status["status"],
        "supervisor": status["supervisor"]["state"],
        "tasks": {task["id"]: {name: task[name] for name in TASK_FIELDS} for task in status["tasks"]},
        "findings": [finding["kind"] for finding in found["findings"]],
    }


def store(directory: Path, root: Path, target: Path) -> None:
    """Write a folder as an archive, with the modes and times of its files and as nobody's in particular."""

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return None if Path(member.name).name in GATES else member

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(directory, arcname=directory.relative_to(root), filter=anonymous)
    content = data.getvalue()
    for word in traces():
        assert (at := re.search(word, content)) is None, (
            f"{target.name} names {word!r}: {content[max(0, at.start() - 200) : at.end() + 100]!r}"
        )
    target.write_bytes(gzip.compress(content, mtime=0))


def traces() -> list[bytes]:
    """Patterns of what would tell on which machine an archive was made."""
    names = [os.uname().nodename, BOOT_ID.read_text(encoding="ascii").strip()]
    paths = ["exp-tests", str(REPOSITORY), sys.prefix, str(Path.home()), sysconfig.get_path("purelib")]
    words = [rf"\b{re.escape(name)}\b" for name in names]
    return [word.encode() for word in (*words, *map(re.escape, paths))]


@pytest.mark.parametrize("recipe", [*recipes()], ids=lambda recipe: recipe.name)
def test_experiments_are_made(machine: Machine, recipe: Recipe) -> None:
    """Each experiment has the statuses that it is made for, and its archive names no machine."""
    target = LEDGERS / os.environ[VERSION]
    target.mkdir(exist_ok=True)
    record = target / "expected.json"
    expected = json.loads(record.read_bytes()) if record.exists() else {}
    expected[recipe.name] = make(recipe, machine, target)
    record.write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n", encoding="utf-8")
