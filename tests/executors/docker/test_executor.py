"""What is Docker's own: options, images, the engine's outages, and what others do to containers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from engines.dockerd import Dockerd
from support.patience import PATIENCE, eventually
from support.workspace import NOTE, ExpWorkspace, events, log, status, statuses, until

from nemorun_cli import executors
from nemorun_cli.contract.fixtures import kill_supervisor, processes_of
from nemorun_cli.errors import EngineError
from nemorun_cli.executors import Job
from nemorun_cli.executors.docker import container as containers
from nemorun_cli.executors.docker import mounts
from nemorun_cli.executors.docker.client import LogFile, host
from nemorun_cli.executors.docker.executor import LIST_TIMEOUT
from nemorun_cli.model.code_package import Package
from nemorun_cli.model.plan import Plan
from nemorun_cli.model.resources import Resources
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles
from nemorun_cli.system import locks, slots
from nemorun_cli.system.slots import Allocation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.state import TaskState

BUSYBOX = {"type": "docker", "image": "exp-test/busybox"}
SINGLE = {"type": "docker", "image": "exp-test/single"}
BOXES = {"box": BUSYBOX, "python": {"type": "docker", "image": "exp-test/python"}}


def box(options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The header of a spec whose tasks run in a container."""
    return {
        "executors": {"box": {**(options or BUSYBOX), **more}},
        "executor": "box",
        "defaults": {"entrypoint": "sh"},
    }


def one(workspace: ExpWorkspace, task: Any, **header: Any) -> TaskState:
    """Run one task to its end."""
    return workspace.run({"one": task}, **header).history.tasks["one"]


@pytest.fixture
def engine(docker_engine: Dockerd, workspace: ExpWorkspace) -> Iterator[Dockerd]:
    """The engine; a container that a test leaves behind makes it fail."""
    yield docker_engine
    eventually(lambda: docker_engine.containers(workspace.home.directory) == [])


def inspected(engine: Dockerd, run: Run, task: str = "one") -> dict[str, Any]:
    """All that the engine knows of a task's container."""
    job_id = eventually(lambda: run.status(observe=False).history.tasks[task].job_id)
    with contextlib.closing(engine.client) as client:
        found: dict[str, Any] = client.api.inspect_container(job_id)
        return found


# -- searches -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("engine")
def test_trials_run_in_the_image_that_their_values_decide(workspace: ExpWorkspace) -> None:
    """A value of a trial is its executor: a container of one image or another, or a local process."""
    study = {"params": {"where": ["box", "python", "local"]}, "trials": 3, "sampler": "grid"}
    train = {
        "command": ["sh", "-c", 'echo "s:=1" >> "$EXP_OUTPUT"; echo "$WHO"'],
        "executor": "${{ search.where }}",
        "search": {**study, "metric": "outputs.s", "goal": "minimize"},
    }
    boxes = {name: {**options, "env": {"WHO": name}} for name, options in BOXES.items()}
    run = workspace.start({"train": train}, executors=boxes)
    history = run.wait(timeout=PATIENCE).history
    for number, suggestion in history.studies["train"].suggestions.items():
        where = suggestion.params["where"]
        assert log(run, f"train/trial-{number:04d}") == ("\n" if where == "local" else f"{where}\n")


# -- what others do to containers, and who runs in them ----------------------------------------------


def test_a_paused_container_is_told_and_a_restarted_one_is_removed(
    workspace: ExpWorkspace, engine: Dockerd
) -> None:
    """While nothing of a task runs it is UNKNOWN, with the remedy; what was restarted is left nowhere.

    The end of the first run counts, for a script and for a command without a shell, which would run anew.
    """
    bare = {"command": ["sleep", "600"]}
    tasks = {"script": f"touch up; {until('go')}", "bare": bare, "paused": until("go")}
    run = workspace.start(tasks, run={"max_parallel": 3}, **box())
    eventually((workspace.folder / "up").exists)
    ids = {name: inspected(engine, run, name)["Id"] for name in tasks}
    with contextlib.closing(engine.client) as client:
        client.api.pause(ids["paused"])
        state = eventually(
            lambda: status(run, "paused") == "UNKNOWN" and run.status().history.tasks["paused"]
        )
        assert "docker unpause" in state.message
        for name in ("script", "bare"):
            with contextlib.suppress(Exception):  # its container may be gone before it is started again
                client.api.restart(ids[name], timeout=1)
        eventually(lambda: {status(run, name) for name in ("script", "bare")} == {"FAILED"})
        client.api.unpause(ids["paused"])
        eventually(lambda: status(run, "paused") == "RUNNING")
    workspace.touch("go")
    assert statuses(run.wait(timeout=60)) == {"script": "FAILED", "bare": "FAILED", "paused": "SUCCEEDED"}
    assert engine.containers(workspace.home.directory) == []


def test_what_is_left_of_a_finished_experiment_is_garbage(workspace: ExpWorkspace, engine: Dockerd) -> None:
    """`exp gc` removes what an engine still has of finished experiments, and nothing else."""
    over, other = workspace.run({"one": "true"}, **box()), workspace.start({"one": until("go")}, **box())
    eventually(lambda: status(other, "one") == "RUNNING")
    home = os.path.realpath(workspace.home.directory)
    with contextlib.closing(engine.client) as client:
        for files, name in ((over.files, "left"), (other.files, "needed")):
            labels = {"nemorun.home": home, "nemorun.experiment": files.id}
            client.api.create_container(
                "exp-test/busybox", ["true"], labels=labels, name=f"{name}-{files.id}"
            )
            client.api.create_network(f"net-{name}-{files.id}", labels=labels)
        client.api.create_network(f"net-foreign-{over.files.id}", labels={"nemorun.home": f"{home}x"})
        kept = sorted(engine.containers(workspace.home.directory))
        assert f"  left-{over.files.id}\n" in workspace.exp("gc", "--dry-run").stdout
        removed = json.loads(workspace.exp("gc", "--json").stdout)["removed"]
        assert [(item["kind"], item["path"]) for item in removed] == [
            ("container", f"left-{over.files.id}"),
            ("network", f"net-left-{over.files.id}"),
        ]
        assert set(kept) - set(engine.containers(workspace.home.directory)) == {f"left-{over.files.id}"}
        client.api.remove_container(f"needed-{other.files.id}")
        for name in (f"net-needed-{other.files.id}", f"net-foreign-{over.files.id}"):
            client.api.remove_network(name)  # which fails if it does not exist
    workspace.touch("go")
    other.wait(timeout=60)


AS_SOMEBODY = """
import importlib, json, os, sys
from pathlib import Path
from nemorun_cli.experiment import create
from nemorun_cli.spec import load
from nemorun_cli.storage.events import SUPERVISOR_STARTED
from nemorun_cli.storage.paths import Home
from nemorun_cli.supervisor.late_imports import needed
from nemorun_cli.supervisor.loop import SupervisorLoop
from nemorun_cli.system import locks

def run(folder):
    home = Home(folder / "home")
    document = load.read(folder / "spec.yaml")
    identity = create.tentative(document, home)
    spec = load.resolve(document, identity)
    for name in needed(spec):  # as a supervisor does in its first idle moment
        importlib.import_module(name)
    files, spec = create.create(document, spec, identity, home=home, by="a test")
    loop = SupervisorLoop(files, spec, secrets={}, home=home.directory, by="a test")
    loop.open()
    loop.listen()
    loop.record(SUPERVISOR_STARTED, pid=1, host=locks.hostname(), boot=locks.boot_id())
    loop.run()
    loop.close()
    return loop.history.tasks["one"]

folders = [Path(name) for name in sys.argv[2:]]
run(folders[0])  # as root, which imports all that is not readable by others
os.setgroups([int(sys.argv[1])])
os.setgid(65534)
os.setuid(65534)
state = run(folders[1])
print(json.dumps([str(state.status), state.exit_code, state.outputs]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_records_of_a_root_in_a_container_are_read(docker_engine: Dockerd) -> None:
    """A caller who is not root gets the results of a task that is: its records are copied from the engine."""
    script = "umask 077; echo key=value >>$EXP_OUTPUT; exit 3"
    text = {"name": "asroot", "tasks": {"one": {"inline": script}}, **box(user="0", network="none")}
    socket_path = Path(docker_engine.host.removeprefix("unix://"))
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        for folder in (first, second):
            (Path(folder) / "spec.yaml").write_text(json.dumps(text))
        os.chown(second, 65534, 65534)
        argv = [sys.executable, "-c", AS_SOMEBODY, str(socket_path.stat().st_gid), first, second]
        done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["FAILED", 3, {"key": "value"}]


# -- a container is a boundary -------------------------------------------------------------------------


def test_a_container_changes_nothing_outside_of_its_folders(
    workspace: ExpWorkspace, engine: Dockerd, tmp_path: Path
) -> None:
    """Not by writing, and not by links in the place of what `exp` writes for this or the next attempt."""
    victim = tmp_path / "victim"
    (victim / "folder").mkdir(parents=True)
    (victim / "file").write_text("mine")
    planted = "plan.json script log exit.json lock usage claim timed-out"
    first = "cd $EXP_TASK_DIR; if [ $EXP_ATTEMPT = 1 ]; then {}; exit 3; fi"
    link = f"ln -s {victim}/file"
    writes = (
        "rm $EXP_TASK_DIR/attempt-1/plan.json || echo no"
        "; for name in shim ledger.jsonl resolved.json tasks/other/x"
        "; do echo >>$EXP_DIR/$name || echo no; done"
        "; mv $EXP_TASK_DIR/attempt-1 $EXP_TASK_DIR/x || echo no; rmdir $EXP_SHARED || echo no"
    )
    has_log = "until test -e log; do sleep 0.1; done"  # which exp opens when it knows of the start
    logs = f"cd $EXP_TASK_DIR/attempt-1; {has_log}; echo one; rm -f log; {link} log; echo two"
    tasks: dict[str, Any] = {
        "other": "true",
        "writes": {"inline": writes, "dependencies": ["other"]},
        "logs": {"command": ["sh", "-c", logs]},
        "plants": first.format(f"mkdir attempt-2; for name in {planted}; do {link} attempt-2/$name; done"),
        "links": first.format(f"ln -s {victim}/folder attempt-2"),
        "earlier": f"{first.format('true')}; echo >attempt-1/exit.json || echo no",
    }
    for name in ("plants", "links", "earlier"):
        tasks[name] = {"inline": tasks[name], "retry": {"limit": 1}}
    run = workspace.start(tasks, **box(), run={"max_parallel": 6})
    states = run.wait(timeout=PATIENCE).history.tasks
    assert (victim / "file").read_text() == "mine"
    assert list((victim / "folder").iterdir()) == []
    assert log(run, "writes").splitlines().count("no") == 7
    assert (log(run, "logs"), log(run, "earlier", 2).splitlines()[-1]) == ("one\ntwo\n", "no")
    assert {name for name, state in states.items() if state.status is TaskStatus.FAILED} == {"links"}
    assert states["links"].reason == Reason.LAUNCH
    assert "an earlier attempt of the task put something else in its place" in str(states["links"].message)
    assert engine.containers(workspace.home.directory) == []


@pytest.mark.usefixtures("engine")
def test_a_home_in_a_writable_folder_is_read_only(workspace: ExpWorkspace) -> None:
    """If the workdir or a volume contains the home, it does not change, and nothing above it is renamed."""
    home = workspace.home.directory
    above = home.parent
    script = (
        f"cd {above}; touch here; mkdir -p fake; touch {home}/x || echo no; mv {home.name} fake || echo no"
        f"; mv /data/{above.name} /data/fake || echo no; touch /data/{above.name}/{home.name}/x || echo no"
        "; touch $EXP_TASK_DIR/x $EXP_SHARED/x $EXP_DASH_ROOT/x"
    )
    task = {"inline": script, "workdir": str(above)}
    run = workspace.start({"one": task}, **box(volumes=[f"{above.parent}:/data"]))
    assert statuses(run.wait(timeout=PATIENCE)) == {"one": "SUCCEEDED"}
    assert log(run, "one").splitlines().count("no") == 4
    assert (above / "here").exists()


def test_what_is_needed_is_mounted_and_no_more(tmp_path: Path) -> None:
    """The folders of its task and shipped code are writable, a workdir elsewhere in `$EXP_DIR` is not."""
    package = Package(
        packager={}, hash="", store="", folder="/h/e/code/abc", root=None, place=None, files=0, bytes=0
    )
    made = replace(plan(package=package), workdir="/h/e/tasks")
    found = {mount.target: mount.is_writable for mount in mounts.of_plan(made)}
    assert found == {
        "/h/dash": True,
        "/h/e": False,
        "/h/e/shared": True,
        "/h/e/code/abc": True,
        "/h/e/tasks/t": True,
        "/h/e/tasks/t/attempt-1": True,
        "/h/e/tasks/t/attempt-1/plan.json": False,
    }
    files = ExperimentFiles(tmp_path)
    files.attempt("t", 1).directory.mkdir(parents=True)
    files.attempt("t", 2).directory.symlink_to("/")
    job = Job(experiment="e_1", task="t", attempt=4, files=files.attempt("t", 4))
    earlier = [(mount.target, mount.is_writable) for mount in mounts.of_earlier(job)]
    assert earlier == [(str(files.attempt("t", 1).directory), False)]


# -- images -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.usefixtures("engine")
def test_an_image_without_a_shell_runs_a_command(workspace: ExpWorkspace, code: int) -> None:
    """A command needs nothing in the image, and its exit code is the container's own."""
    state = one(workspace, {"command": ["/busybox", "sh", "-c", f"exit {code}"]}, **box(SINGLE))
    assert (state.exit_code, state.reason) == (code, Reason.EXIT if code else None)


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.usefixtures("engine")
def test_an_image_without_a_shell_is_told(workspace: ExpWorkspace, init: bool) -> None:  # noqa: FBT001
    """A script in an image without `sh` is a failed launch that says so."""
    state = one(workspace, "true", **box(SINGLE, init=init))
    assert (state.reason, state.exit_code) == (Reason.LAUNCH, None)
    assert "exp-test/single has no `sh`" in str(state.message)


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.usefixtures("engine")
def test_a_program_that_the_image_lacks_is_told(workspace: ExpWorkspace, init: bool) -> None:  # noqa: FBT001
    """A command or an entrypoint that is not in the image is a failed launch that names both."""
    tasks = {
        "command": {"command": ["nope"]},
        "inline": {"inline": "true", "entrypoint": "bash"},
        "default": {"inline": "true", "entrypoint": "bash -e -o pipefail"},
        "sh": {"inline": "false; echo wrong >wrong", "entrypoint": "sh -e"},
    }
    found = workspace.run(tasks, **box(init=init)).history.tasks
    assert found.pop("sh").exit_code == 1
    assert not (workspace.folder / "wrong").exists()
    assert found["default"].message == found["inline"].message
    assert found["command"].message == "the image exp-test/busybox has no program 'nope'"
    assert found["inline"].message == (
        "the image exp-test/busybox has no program 'bash':"
        " set `entrypoint` to a shell that it has, such as `sh -e`"
    )
    assert {state.reason for state in found.values()} == {Reason.LAUNCH}


@pytest.mark.usefixtures("engine")
def test_an_image_that_is_missing_is_told_before_anything_starts(workspace: ExpWorkspace) -> None:
    """`exp validate --engines` names the image that is not there and cannot be had, with a remedy."""
    spec = workspace.spec({"one": "true"}, **box(image="exp-test/none:1", pull="never"))
    refused = workspace.exp("validate", spec, "--engines", code=6)
    assert "there is no image exp-test/none:1" in refused.stdout + refused.stderr
    assert "docker pull exp-test/none:1" in refused.stdout + refused.stderr


@contextlib.contextmanager
def short_lived_image(engine: Dockerd, name: str) -> Iterator[dict[str, Any]]:
    """A spec's tasks of which `one` starts after its image, there at the start, is gone again."""
    with contextlib.closing(engine.client) as client:
        client.images.get("exp-test/busybox").tag(name)
        yield {
            "here": {"inline": until("go"), "executor": "local"},
            "one": {"inline": NOTE, "dependencies": ["here"]},
        }
        client.images.remove(name)


@pytest.mark.parametrize("pull", ["missing", "never"])
def test_an_image_that_is_missing_fails_its_task(workspace: ExpWorkspace, engine: Dockerd, pull: str) -> None:
    """Without its image a task fails to launch, and the message says which image that is."""
    image = f"127.0.0.1:9/exp-test/none-{pull}"  # for both may run at once
    with short_lived_image(engine, image) as tasks:
        run = workspace.start(tasks, **box(image=image, pull=pull))
    workspace.touch("go")
    state = run.wait(timeout=60).history.tasks["one"]
    assert (state.status, state.reason) == (TaskStatus.FAILED, Reason.LAUNCH)
    assert f"there is no image {image}" in str(state.message)


def test_cancel_does_not_wait_for_a_pull(workspace: ExpWorkspace, engine: Dockerd) -> None:
    """A task whose image is still being pulled is cancelled at once."""
    with engine.listen() as registry:  # one that takes calls and never answers
        registry.settimeout(PATIENCE)
        image = f"127.0.0.1:{registry.getsockname()[1]}/slow"
        with short_lived_image(engine, image) as tasks:
            run = workspace.start(tasks, **box(image=image))
        workspace.touch("go")
        call, _ = registry.accept()
        with call:
            assert statuses(run.cancel())["one"] == "CANCELLED"
            eventually(lambda: run.status(observe=False).supervisor == "ended")


# -- options ----------------------------------------------------------------------------------------


def test_options_reach_the_engine(workspace: ExpWorkspace, engine: Dockerd) -> None:
    """Each option, in Compose's words, is what the engine then says of the container."""
    options = {
        "shm_size": "32m",
        "ulimits": {"nofile": 1234, "core": {"soft": 0, "hard": 5}},
        "ipc": "private",
        "network": "none",
        "init": False,
        "healthcheck": {"test": ["CMD", "true"], "interval": "90s", "retries": 2},
        "extra": {"mem_limit": "64m", "hostname": "boxed", "labels": {"own": "label"}},
    }
    run = workspace.start({"one": until("go")}, **box(**options))
    found = inspected(engine, run)
    host, config = found["HostConfig"], found["Config"]
    assert {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in host["Ulimits"]} == {
        "nofile": (1234, 1234),
        "core": (0, 5),
    }
    assert (host["ShmSize"], host["Memory"], host["IpcMode"]) == (32 << 20, 64 << 20, "private")
    assert (host["NetworkMode"], host["Init"]) == ("none", False)
    assert config["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 90_000_000_000, "Retries": 2}
    assert (config["Hostname"], config["Labels"]["own"]) == ("boxed", "label")
    assert config["User"] == f"{os.geteuid()}:{os.getegid()}"
    workspace.touch("go")
    run.wait(timeout=60)


@pytest.mark.usefixtures("engine")
def test_plugins_and_handlers_are_the_same_in_containers(workspace: ExpWorkspace) -> None:
    """What a plugin changes reaches the container, options of one task too; a handler is told the outcome."""
    (workspace.folder / "mine.py").write_text(
        "class Mine:\n"
        "    def change(self, launch):\n"
        "        found = launch.with_env(WORD='hi').with_prefix('sh', '-c', 'LED=yes exec \"$@\"', 'sh')\n"
        "        return found.with_options(user='4321') if launch.task == 'own' else found\n"
    )
    uid = 'while read -r name value rest; do [ "$name" = Uid: ] && echo "$value"; done </proc/self/status; :'
    run = workspace.start(
        {"own": {"command": ["sh", "-c", uid]}, "one": "echo $WORD $LED"},
        plugins=[{"uses": "mine:Mine"}],
        on_exit={"last": {"inline": "echo $EXP_STATUS"}},
        **box(),
    )
    run.wait(timeout=60)
    assert [log(run, name) for name in ("own", "one", "on_exit/last")] == [
        "4321\n",
        "hi yes\n",
        "COMPLETED\n",
    ]


def test_labels_say_what_a_container_is(workspace: ExpWorkspace, engine: Dockerd) -> None:
    """A container carries its experiment, task, attempt and home, and a name that people can read."""
    run = workspace.start({"one": until("go")}, **box())
    found = inspected(engine, run)
    labels = {name: value for name, value in found["Config"]["Labels"].items() if name.startswith("nemorun.")}
    assert labels == {
        "nemorun.experiment": run.id,
        "nemorun.task": "one",
        "nemorun.attempt": "1",
        "nemorun.executor": "box",
        "nemorun.home": str(workspace.home.directory),
    }
    assert found["Name"].startswith(f"/exp-{run.id}.one.1-")
    workspace.touch("go")
    run.wait(timeout=60)


@pytest.mark.usefixtures("engine")
def test_volumes_are_relative_to_the_spec(workspace: ExpWorkspace) -> None:
    """A relative source is found beside the spec, and `ro` keeps it from being written."""
    (workspace.folder / "data").mkdir()
    (workspace.folder / "data" / "in").write_text("read\n")
    run = workspace.start({"one": "cat /data/in; touch /data/out"}, **box(volumes=["./data:/data:ro"]))
    assert run.wait(timeout=60).history.tasks["one"].exit_code == 1
    assert log(run, "one").startswith("read\n")
    assert not (workspace.folder / "data" / "out").exists()


@pytest.mark.usefixtures("engine")
def test_a_volume_that_is_missing_is_told(workspace: ExpWorkspace) -> None:
    """A source that is not there fails the launch; Docker's own folder of root is not made."""
    state = one(workspace, "true", **box(volumes=["./nowhere:/data"]))
    assert (state.reason, f"{workspace.folder}/nowhere" in str(state.message)) == (Reason.LAUNCH, True)
    assert not (workspace.folder / "nowhere").exists()


@pytest.mark.usefixtures("engine")
def test_gpus_that_the_engine_cannot_give_are_told(workspace: ExpWorkspace) -> None:
    """Where there are no GPUs a spec that asks for them is refused at once, with the remedy."""
    if "False" not in executors_check(gpus="all"):
        pytest.skip("this engine gives GPUs")
    with pytest.raises(EngineError, match="does not support GPUs") as refused:
        workspace.start({"one": "true"}, **box(gpus="all"))
    assert "nvidia-container-toolkit" in str(refused.value.hint)


@pytest.mark.usefixtures("engine")
def test_extra_options_that_the_sdk_does_not_know_are_told(workspace: ExpWorkspace) -> None:
    """What `extra` holds is the SDK's to judge, and its word is the message."""
    for extra, shown in (({"no_such_option": 1}, "no_such_option"), ({"mem_limit": "lots"}, "lots")):
        state = one(workspace, "true", **box(extra=extra))
        assert (state.reason, shown in str(state.message)) == (Reason.LAUNCH, True)


def test_unknown_options_are_refused(workspace: ExpWorkspace) -> None:
    """An option that is none is a problem of the spec, with the nearest that is."""
    spec = workspace.spec({"one": "true"}, **box(volume=["./a:/a"], gpus=-1))
    document = workspace.exp("validate", spec, "--json", code=2).json
    assert {problem["path"] for problem in document["problems"]} == {
        "executors.box.volume",
        "executors.box.gpus",
    }


@pytest.mark.usefixtures("engine")
def test_another_user_who_may_not_write_is_told(workspace: ExpWorkspace) -> None:
    """A `user` who may not enter the experiment's folder fails the launch, with the shell's own words."""
    state = one(workspace, "true", **box(user="12345:12345"))
    assert (state.reason, "ermission denied" in str(state.message)) == (Reason.LAUNCH, True)


def test_the_dry_run_shows_the_container(workspace: ExpWorkspace) -> None:
    """The plan has the image, the user and the mounts; no engine is asked for it."""
    spec = workspace.spec({"one": {"command": ["true"]}}, **box(gpus=2, shm_size="1g"))
    env = {"DOCKER_HOST": "unix:///nowhere"}
    text = json.dumps(workspace.exp("run", spec, "--dry-run", "--json", env=env).json)
    for part in (
        "exp-test/busybox",
        f'"user": "{os.geteuid()}:{os.getegid()}"',
        str(workspace.folder),
        '"count": 2',
    ):
        assert part in text


# -- ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["command", "inline"])
@pytest.mark.usefixtures("engine")
def test_running_out_of_memory_is_told(workspace: ExpWorkspace, kind: str) -> None:
    """A task that the kernel kills for its memory has the reason `oom`."""
    script = "x=a; while true; do x=$x$x; done"
    task = {"command": ["sh", "-c", script]} if kind == "command" else {"inline": script}
    state = one(workspace, task, **box(extra={"mem_limit": "32m", "memswap_limit": "32m"}))
    assert (state.status, state.reason, state.exit_code) == (TaskStatus.FAILED, Reason.OOM, 137)


@pytest.mark.usefixtures("engine")
def test_the_timeout_of_a_command_outlives_its_supervisor(workspace: ExpWorkspace) -> None:
    """Whoever takes up a command enforces its timeout, counted from when it began."""
    script = f'trap "" TERM; touch up; {until("never")}'
    task = {"command": ["sh", "-c", script], "timeout": "2s", "stop_grace": "1s"}
    run = workspace.start({"one": task}, **box())
    eventually((workspace.folder / "up").exists)
    kill_supervisor(run)
    run.resume()
    state = run.wait(timeout=60).history.tasks["one"]
    assert (state.reason, state.exit_code) == (Reason.TIMEOUT, 137)


@pytest.mark.parametrize("kind", ["command", "inline"])
def test_docker_kill_is_told_as_a_signal(workspace: ExpWorkspace, engine: Dockerd, kind: str) -> None:
    """A container that somebody kills is a task that a signal ended."""
    task = {"command": ["sh", "-c", until("go")]} if kind == "command" else {"inline": until("go")}
    run = workspace.start({"one": task}, **box())
    job_id = inspected(engine, run)["Id"]
    if kind == "inline":
        eventually(run.files.attempt("one", 1).claim.exists)
    with contextlib.closing(engine.client) as client:
        client.api.kill(job_id)
    state = run.wait(timeout=60).history.tasks["one"]
    assert (state.reason, state.exit_code) == (Reason.SIGNAL, 137)


def test_docker_stop_is_told_as_a_signal(workspace: ExpWorkspace, engine: Dockerd) -> None:
    """The signal that Docker sends to a container reaches what runs in it."""
    run = workspace.start({"one": f'trap "echo stopped; exit 3" TERM; touch up; {until("go")}'}, **box())
    job_id = inspected(engine, run)["Id"]
    eventually((workspace.folder / "up").exists)
    with contextlib.closing(engine.client) as client:
        client.api.stop(job_id, timeout=30)
    assert run.wait(timeout=60).history.tasks["one"].exit_code == 3
    assert "stopped\n" in log(run, "one")


def test_a_container_removed_by_hand_is_a_failure(workspace: ExpWorkspace, engine: Dockerd) -> None:
    """A container that somebody takes away is not taken for one that never began."""
    run = workspace.start({"one": f"{NOTE}; {until('go')}"}, **box())
    job_id = inspected(engine, run)["Id"]
    eventually(workspace.lines)
    kill_supervisor(run)
    with contextlib.closing(engine.client) as client:
        client.api.remove_container(job_id, force=True)
    state = run.wait(timeout=60).history.tasks["one"]
    assert (state.status, state.reason, workspace.lines()) == (TaskStatus.FAILED, Reason.LOST, ["one 1"])


def test_a_container_removed_while_somebody_watches_is_lost(workspace: ExpWorkspace, engine: Dockerd) -> None:
    """The engine tells of its end first, and only then that it is gone."""
    run = workspace.start({"one": f"{NOTE}; {until('go')}"}, **box())
    job_id = inspected(engine, run)["Id"]
    eventually(workspace.lines)
    with contextlib.closing(engine.client) as client:
        client.api.remove_container(job_id, force=True)
    state = run.wait(timeout=60).history.tasks["one"]
    assert (state.status, state.reason) == (TaskStatus.FAILED, Reason.LOST)


@pytest.mark.usefixtures("engine")
def test_an_exit_record_counts_without_a_claim(workspace: ExpWorkspace) -> None:
    """A task that empties its attempt's folder has run nevertheless."""
    state = one(workspace, 'rm -rf "$EXP_TASK_DIR"/attempt-1/*; exit 3', **box())
    assert (state.reason, state.exit_code) == (Reason.EXIT, 3)


@pytest.mark.usefixtures("engine")
def test_what_this_machine_refuses_is_a_launch(workspace: ExpWorkspace) -> None:
    """What cannot be written before a container starts, as on a full disk, ends the attempt, and it alone."""
    here = {"inline": until("go"), "executor": "local"}
    tasks = {"here": here, **{name: {"inline": NOTE, "dependencies": ["here"]} for name in ("one", "two")}}
    run = workspace.start(tasks, **box())
    run.files.task("one").parent.mkdir(exist_ok=True)
    run.files.task("one").write_text("in the way")
    workspace.touch("go")
    found = run.wait(timeout=60).history.tasks
    assert (found["one"].status, found["one"].reason) == (TaskStatus.FAILED, Reason.LAUNCH)
    assert str(run.files.task("one")) in (found["one"].message or "")
    assert (found["two"].status, workspace.lines()) == (TaskStatus.SUCCEEDED, ["two 1"])


def test_a_folder_of_the_image_is_not_looked_for_here(workspace: ExpWorkspace) -> None:
    """A task in a container may work in a folder that only its image has; one of this machine may not."""
    tasks = {"one": {"command": ["pwd"], "workdir": "/only/there"}}
    workspace.exp("validate", workspace.spec(tasks, **box()))
    refused = workspace.exp("validate", workspace.spec(tasks, executor="local"), code=2)
    assert "there is no folder /only/there" in refused.stderr


def test_times_of_a_healthcheck_are_checked(workspace: ExpWorkspace) -> None:
    """Before anything starts, and with their place."""
    check = {"test": "true", "interval": "5 minutes"}
    refused = workspace.exp(
        "validate", workspace.spec({"one": "true"}, **box(healthcheck=check)), code=2
    ).stderr
    assert "executors.box.healthcheck.interval: must be a duration" in refused


def test_a_context_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than that another engine is taken."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "nope")
    with pytest.raises(EngineError, match="no Docker context nope"):
        host()


def test_the_context_that_is_named_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command `docker` takes it, whose folder of contexts this is."""
    place = tmp_path / "contexts" / "meta" / hashlib.sha256(b"there").hexdigest()
    place.mkdir(parents=True)
    told = {"Name": "there", "Metadata": {}, "Endpoints": {"docker": {"Host": "unix:///there.sock"}}}
    (place / "meta.json").write_text(json.dumps(told))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv("DOCKER_CONTEXT", "there")
    assert host() == "unix:///there.sock"


# -- the engine's outages ---------------------------------------------------------------------------


@pytest.fixture
def lasting_engine(own_engine: Dockerd, monkeypatch: pytest.MonkeyPatch) -> Dockerd:
    """The same, whose containers outlive it; commands use it."""
    monkeypatch.setenv("DOCKER_HOST", own_engine.host)
    own_engine.run("stop")
    own_engine.run("up", "--live-restore")
    return own_engine


@pytest.fixture(scope="module")
def own_engine(docker_engine: Dockerd) -> Iterator[Dockerd]:
    """An engine that a test may stop, of its own."""
    del docker_engine  # it has installed what an engine needs
    own = Dockerd(Path(tempfile.mkdtemp(prefix="exp-docker-")))
    try:
        own.run("up")
        own.run("busybox")
        yield own
    finally:
        own.run("down")


def outage(run: Run) -> str | None:
    """What is said of a task while the engine is away."""
    state = run.status().history.tasks["one"]
    return state.message if state.status is TaskStatus.UNKNOWN else None


def test_a_restart_of_the_engine_is_told(
    workspace: ExpWorkspace, own_engine: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the engine is away its tasks are UNKNOWN, and how it ended them is known afterwards."""
    monkeypatch.setenv("DOCKER_HOST", own_engine.host)
    run = workspace.start(
        {"one": f"touch up; {until('go')}", "two": {"inline": NOTE, "dependencies": ["one"]}}, **box()
    )
    eventually((workspace.folder / "up").exists)
    own_engine.run("stop")
    assert "Docker engine" in str(eventually(lambda: outage(run)))
    own_engine.run("up")
    found = run.wait(timeout=60).history.tasks
    assert (found["one"].reason, found["one"].exit_code) == (Reason.SIGNAL, 143)
    assert found["two"].status is TaskStatus.SKIPPED
    assert not [event for event in events(run) if event["event"] == "cancel_requested"]
    assert own_engine.containers(workspace.home.directory) == []


def test_tasks_outlive_an_engine_that_leaves_them_alone(
    workspace: ExpWorkspace, lasting_engine: Dockerd
) -> None:
    """With live-restore a crash of the engine ends no task, and none of them runs twice."""
    tasks = {
        "one": f"touch up; {until('go')}; {NOTE}; exit 4",
        "two": {"command": ["sh", "-c", f"echo a; {until('go')}; echo b"]},
    }
    run = workspace.start(tasks, **box())
    eventually((workspace.folder / "up").exists)
    eventually(lambda: status(run, "two") == "RUNNING")
    lasting_engine.run("crash")
    assert eventually(lambda: outage(run))
    lasting_engine.run("up", "--live-restore")
    eventually(lambda: status(run, "one") == "RUNNING")
    workspace.touch("go")
    found = run.wait(timeout=60).history.tasks
    assert (found["one"].exit_code, found["two"].status) == (4, TaskStatus.SUCCEEDED)
    assert (workspace.lines(), log(run, "two")) == (["one 1"], "a\nb\n")


def test_a_task_submitted_while_the_engine_is_away_runs_once(
    workspace: ExpWorkspace, own_engine: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be started because the engine was away is started when it is back."""
    monkeypatch.setenv("DOCKER_HOST", own_engine.host)
    here = {"inline": until("go"), "executor": "local"}
    run = workspace.start({"here": here, "one": {"inline": NOTE, "dependencies": ["here"]}}, **box())
    own_engine.run("stop")
    workspace.touch("go")
    assert eventually(lambda: outage(run))
    own_engine.run("up")
    assert (statuses(run.wait(timeout=60))["one"], workspace.lines()) == ("SUCCEEDED", ["one 1"])


def test_a_cancel_while_the_engine_is_away_is_carried_out(
    workspace: ExpWorkspace, lasting_engine: Dockerd
) -> None:
    """A cancel that nobody could be told of is carried out when the engine is back."""
    run = workspace.start({"one": f"touch up; {until('never')}"}, **box())
    eventually((workspace.folder / "up").exists)
    lasting_engine.run("crash")
    eventually(lambda: outage(run))
    waiting = workspace.exp.start("cancel", run.id)
    eventually(lambda: any(event["event"] == "cancel_requested" for event in events(run)))
    lasting_engine.run("up", "--live-restore")
    waiting.communicate(timeout=60)
    assert (waiting.returncode, statuses(run.status())) == (0, {"one": "CANCELLED"})
    assert lasting_engine.containers(workspace.home.directory) == []


def crash_at(engine: Dockerd, flag: Path) -> None:
    """End an engine the moment that a container has made a file, before it can note that this one started."""
    pid = int((engine.folder / "docker.pid").read_text())
    end = time.monotonic() + PATIENCE
    while not flag.exists():  # without a pause, which would be long enough for the note
        assert time.monotonic() < end, "the container did not begin"
    os.kill(pid, signal.SIGKILL)
    engine.run("crash")


@pytest.mark.parametrize("kind", ["inline", "command"])
def test_a_container_that_its_engine_has_forgotten_is_ended(
    workspace: ExpWorkspace, lasting_engine: Dockerd, kind: str
) -> None:
    """What the engine says never started is not taken for gone while it runs, nor started once more."""
    text = f"echo x >>ran; touch up; {until('never')}"
    run = workspace.start({"one": {kind: text if kind == "inline" else ["sh", "-c", text]}}, **box())
    crash_at(lasting_engine, workspace.folder / "up")
    lasting_engine.run("up", "--live-restore")
    eventually(lambda: status(run, "one") == "RUNNING", within=30)
    assert statuses(run.cancel()) == {"one": "CANCELLED"}
    assert eventually(lambda: processes_of(workspace.home.directory) == [])
    assert workspace.lines() == ["x"]
    run.wait(timeout=60)
    assert eventually(lambda: lasting_engine.containers(workspace.home.directory) == [])


def test_the_end_of_a_container_that_its_engine_has_forgotten_is_known(
    workspace: ExpWorkspace, lasting_engine: Dockerd
) -> None:
    """Its shim writes it down, whoever looks, and however late."""
    run = workspace.start({"one": f"touch one; {until('go')}; {NOTE}; exit 4"}, **box())
    crash_at(lasting_engine, workspace.folder / "one")
    workspace.touch("go")
    lasting_engine.run("up", "--live-restore")
    found = run.wait(timeout=60).history.tasks
    assert (found["one"].exit_code, workspace.lines()) == (4, ["one 1"])


def test_an_engine_that_hangs_does_not_block(workspace: ExpWorkspace, lasting_engine: Dockerd) -> None:
    """After the first look nothing waits for the engine's list; what is in it is told when it arrives."""
    run = workspace.start({"one": until("go")}, **box())
    eventually(lambda: status(run, "one") == "RUNNING")
    task, state = run.spec().tasks[0], run.status().history.tasks["one"]
    job = Job.of(task, state, run.files)
    engine_pid = int((lasting_engine.folder / "docker.pid").read_text())
    with contextlib.closing(executors.make("box", BUSYBOX, {})) as executor:
        assert list(executor.poll({})) == []
        os.kill(engine_pid, signal.SIGSTOP)
        try:
            before = time.monotonic()
            assert [list(executor.poll({job.key: job})) for _ in range(3)] == [[]] * 3
            assert time.monotonic() - before < LIST_TIMEOUT / 2
        finally:
            os.kill(engine_pid, signal.SIGCONT)
        answers = eventually(lambda: list(executor.poll({job.key: job})))
        assert [(answer.key, answer.state) for answer in answers] == [(job.key, "running")]
    workspace.touch("go")
    assert statuses(run.wait(timeout=60)) == {"one": "SUCCEEDED"}


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_the_doctor_tells_of_an_engine_that_is_down(
    workspace: ExpWorkspace, own_engine: Dockerd, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Once the engine has ended, in order or not, `exp doctor` says so, and how it is started."""
    monkeypatch.setenv("DOCKER_HOST", own_engine.host)
    run = workspace.start({"one": "true"}, **box())
    run.wait(timeout=60)
    workspace.exp("doctor", run.id)
    own_engine.run(end)
    checks = workspace.exp("doctor", run.id, "--json", code=6).json["checks"]
    own_engine.run("up")
    (found,) = [check for check in checks if check["state"] == "trouble"]
    assert found["subject"] == "executor box (docker)"
    assert f"at {own_engine.host} does not answer" in found["message"]
    assert "systemctl start docker" in found["remedy"]


# -- the engine is found and asked ------------------------------------------------------------------


def executors_check(**options: Any) -> str:
    """What the executor's check says, as one text."""
    executor = executors.make("box", {**BUSYBOX, **options}, {})
    try:
        found = list(executor.check())
    finally:
        executor.close()
    return "\n".join(f"{one.is_ok} {one.message} -> {one.remedy}" for one in found)


def test_an_engine_that_is_absent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a socket the check says where it looked and what to do."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    found = executors_check()
    assert found.startswith("False the Docker engine at unix:///nowhere/docker.sock does not answer")
    assert "install" in found or "start" in found


def test_an_engine_that_is_down_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket at which nobody listens is a daemon that does not run."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(f"{folder}/docker.sock")
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/docker.sock")
        assert "systemctl start docker" in executors_check()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_socket_that_may_not_be_used_is_told(docker_engine: Dockerd) -> None:
    """Without the right to use the socket of an engine the remedy is its group."""
    program = (
        "import os, docker; from nemorun_cli import executors; executors.find('docker')\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "executor = executors.make('box', {'type': 'docker', 'image': 'exp-test/busybox'}, {})\n"
        "print([(one.is_ok, one.message, one.remedy) for one in executor.check()])"
    )
    env = {**os.environ, "DOCKER_HOST": docker_engine.host}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert "ermission denied" in done.stdout
    assert f"you have no permission to use {docker_engine.host.removeprefix('unix://')}" in done.stdout
    assert "usermod -aG docker" in done.stdout


def test_an_engine_of_another_machine_is_refused(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that cannot mount this machine's folders is told before anything starts."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(EngineError, match=r"at tcp://192.0.2.1:2375 is on another machine"):
        workspace.start({"one": "true"}, **box())


@pytest.mark.usefixtures("engine")
def test_the_engine_is_found_again(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a shell in which DOCKER_HOST says otherwise the tasks are looked for where they run."""
    run = workspace.start({"one": f"touch up; {until('go')}"}, **box())
    eventually((workspace.folder / "up").exists)
    kill_supervisor(run)
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
        assert status(run, "one") == "RUNNING"
        workspace.touch("go")
        assert statuses(run.wait(timeout=60)) == {"one": "SUCCEEDED"}


@pytest.mark.usefixtures("engine")
def test_a_container_does_not_see_the_logins(workspace: ExpWorkspace) -> None:
    """Where a mount has the home, the file with the tokens of `exp login` is empty in the container."""
    workspace.home.directory.mkdir(mode=0o700)
    logins = workspace.home.directory / "logins.json"
    logins.write_text('{"token": "of-alice"}')
    above = workspace.home.directory.parent
    run = workspace.start({"one": "cat /all/home/logins.json"}, **box(volumes=[f"{above}:/all"]))
    assert statuses(run.wait(timeout=60)) == {"one": "SUCCEEDED"}
    assert log(run, "one") == ""
    assert logins.read_text() == '{"token": "of-alice"}'


@pytest.mark.usefixtures("engine")
def test_the_status_of_what_is_over_does_not_load_the_sdk(workspace: ExpWorkspace) -> None:
    """Neither the SDK nor what it needs is imported to tell of an experiment that is over."""
    run = workspace.start({"one": "true"}, **box())
    run.wait(timeout=60)
    program = (
        "import sys; from nemorun_cli.experiment import run as experiment\n"
        f"assert str(experiment.find({run.id!r}).status().status) == 'COMPLETED'\n"
        "print(sorted({'docker', 'requests', 'urllib3'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=workspace.exp.env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


# -- leftovers and numbers --------------------------------------------------------------------------


def test_leftovers_are_removed(workspace: ExpWorkspace, engine: Dockerd) -> None:
    """A container whose attempt is over is removed at the next look, and nobody else's is touched."""
    run = workspace.start({"one": until("go"), "two": until("go")}, **box())
    labels = inspected(engine, run)["Config"]["Labels"]
    with contextlib.closing(engine.client) as client:
        leftover = client.containers.create(
            "exp-test/busybox", "true", labels={**labels, "nemorun.task": "gone"}
        )
        others = client.containers.create(
            "exp-test/busybox", "true", labels={**labels, "nemorun.experiment": "other_1"}
        )
        try:
            kill_supervisor(run)
            run.resume()
            eventually(lambda: leftover.id not in {one["Id"] for one in client.api.containers(all=True)})
            assert others.id in {one["Id"] for one in client.api.containers(all=True)}
        finally:
            others.remove()
    workspace.touch("go")
    run.wait(timeout=60)


@pytest.mark.usefixtures("engine")
def test_a_container_that_was_never_started_is_made_anew(workspace: ExpWorkspace) -> None:
    """Whoever dies between making a container and starting it leaves nothing that is in the way."""
    env = {"EXP_FAULT": "attempt.locked:1"}
    run_id = workspace.exp("run", workspace.spec({"one": NOTE}, **box()), "--detach", env=env).stdout.strip()
    eventually(lambda: workspace.exp.status(run_id)["status"] == "INTERRUPTED")
    workspace.exp("resume", run_id)
    assert (workspace.exp.status(run_id)["status"], workspace.lines()) == ("COMPLETED", ["one 1"])


@pytest.mark.usefixtures("engine")
def test_many_containers_need_few_threads(workspace: ExpWorkspace) -> None:
    """However many containers run at once, the supervisor has a handful of threads."""
    tasks = {f"task-{index}": {"command": ["sh", "-c", until("go")]} for index in range(30)}
    run = workspace.start(tasks, **box(network="none"), run={"max_parallel": 30})
    eventually(lambda: set(statuses(run.status(observe=False)).values()) == {"RUNNING"}, within=120)
    holder = run.status(observe=False).holder
    assert holder is not None
    assert psutil.Process(holder.pid).num_threads() < 12
    workspace.touch("go")
    assert set(statuses(run.wait(timeout=60)).values()) == {"SUCCEEDED"}


# -- pure parts -------------------------------------------------------------------------------------


def test_secrets_are_text_that_a_shell_reads_back() -> None:
    """Whatever a secret holds, the shell that reads the text has exactly that."""
    values = {"A": 'it\'s $HOME `id` \\ "x"', "B": f"two\nlines\n{containers.LAST_LINE}\n", "C": ""}
    script = 'eval "$1"; printf "%s\\0" "$A" "$B" "$C"'
    text = containers.secrets_text(values).decode()
    done = subprocess.run(["sh", "-c", script, "sh", text], stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().split("\0")[:-1] == list(values.values())


def test_a_log_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Reading an engine's log again from its beginning adds only what is not yet in the file."""
    frames = b"".join(
        bytes([number, 0, 0, 0]) + len(text).to_bytes(4, "big") + text
        for number, text in ((1, b"out\n"), (2, b"err\n"), (1, b"more"))
    )
    for cuts in ((5, 13), (8, 20), (len(frames),)):
        for error, has in ((None, b"out\nerr\nmore"), (b"e", b"out\nmore")):
            own = AttemptFiles(tmp_path / f"{cuts[0]}-{error}")
            own.directory.mkdir()
            own.log.write_bytes(b"out\ne" if error is None else b"out\n")
            if error is not None:
                own.stderr.write_bytes(error)
            with contextlib.closing(LogFile(own)) as file:
                begin = 0
                for cut in (*cuts, len(frames)):
                    file.feed(frames[begin:cut])
                    begin = cut
            assert own.log.read_bytes() == has
            assert error is None or own.stderr.read_bytes() == b"err\n"


def test_names_are_valid_and_differ(tmp_path: Path) -> None:
    """Each attempt's container has a name that Docker takes, and no two have the same."""
    found = set()
    for home in ("a", "b"):
        files = ExperimentFiles(tmp_path / home / "experiments" / "e" / "e_1")
        for task in ("train/lr=0.1,seed=1", "train/lr=0.1_seed=1", "t" * 64):
            for attempt in (1, 2):
                job = Job(experiment="e_1", task=task, attempt=attempt, files=files.attempt(task, attempt))
                name = containers.name(job)
                assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", name)
                assert containers.shared_labels(job)["nemorun.home"] == str(tmp_path / home)
                found.add(name)
    assert len(found) == 12


def plan(**fields: Any) -> Plan:
    """A plan with what a container needs of it."""
    return Plan(
        experiment="e_1",
        task="t",
        attempt=1,
        executor="box",
        kind="command",
        argv=("true",),
        workdir="/",
        folder="/",
        env={
            "EXP_DIR": "/h/e",
            "EXP_TASK_DIR": "/h/e/tasks/t",
            "EXP_SHARED": "/h/e/shared",
            "EXP_DASH_ROOT": "/h/dash",
            "NEMORUN_HOME": "/h",
        },
        stop_signal="TERM",
        stop_grace=1.0,
        **fields,
    )


def test_resources_are_limits_of_the_container() -> None:
    """CPUs and memory limit the container; GPUs are counted, until an attempt is given its own."""
    wanted = Resources(cpus=1.5, memory=64 << 20, gpus=2)
    made = containers.details(plan(resources=wanted), {"image": "x"}, host="unix:///x")["create"]
    assert (made["nano_cpus"], made["mem_limit"]) == (1_500_000_000, 64 << 20)
    assert made["device_requests"] == [{"capabilities": [["gpu"]], "count": 2}]
    job = Job(
        experiment="e_1",
        task="t",
        attempt=1,
        files=ExperimentFiles(Path("/h/experiments/e/e_1")).attempt("t", 1),
        allocation=Allocation(Path("/x"), 99, ("1", "3")),
    )
    told = containers.arguments(job, replace(plan(resources=wanted), details={"host": "", "create": made}))
    assert told["device_requests"] == [{"capabilities": [["gpu"]], "device_ids": ["1", "3"]}]


@pytest.mark.parametrize(
    ("options", "wanted", "told"),
    [
        ({"gpus": "all"}, {"gpus": 1}, "gpus"),
        ({"extra": {"mem_limit": "8g", "cap_add": []}}, {"memory": "1G"}, "extra.mem_limit"),
        ({"extra": {"nano_cpus": 5}}, {"cpus": 1}, "extra.nano_cpus"),
    ],
)
def test_options_that_say_what_resources_say_are_refused(
    workspace: ExpWorkspace, options: dict[str, Any], wanted: dict[str, Any], told: str
) -> None:
    """What an executor's options and a task's resources both say is told, without asking the engine."""
    spec = workspace.spec({"one": {"inline": "true", "resources": wanted}}, **box(**options))
    refused = workspace.exp("validate", spec, code=2).stderr
    assert f"on box: its options say that already: {told}; leave out one of the two" in refused


def test_resources_reach_the_engine_and_are_measured(workspace: ExpWorkspace, engine: Dockerd) -> None:
    """A container has the limits that its task asked for, and what it used of them is told."""
    use = "head -c 20000000 /dev/zero | tail -c 20000000 | wc -c"  # tail keeps all of it in memory
    task = {"inline": f"{use}; {until('go')}", "resources": {"cpus": 0.5, "memory": "64M"}}
    run = workspace.start({"one": task}, **box())
    host = inspected(engine, run)["HostConfig"]
    assert (host["NanoCpus"], host["Memory"]) == (500_000_000, 64 << 20)
    taken = slots.used(workspace.home.slots(locks.hostname()))
    assert [(one.experiment, one.wanted.memory) for one in taken] == [(run.id, 64 << 20)]
    workspace.touch("go")
    used = run.wait(timeout=60).history.tasks["one"].usage
    assert used
    assert used["cpu"] > 0
    assert 20_000_000 < used["memory"] <= 64 << 20
    assert slots.used(workspace.home.slots(locks.hostname())) == []
    assert "requested 64M and 0.5 CPUs, peak " in workspace.exp("why", run.id, "one").stdout


@pytest.mark.usefixtures("engine")
def test_container_keeps_its_slots_without_a_supervisor(workspace: ExpWorkspace) -> None:
    """What a container has of this machine stays taken until its end is written down, whoever lives."""
    half = {"local": {"type": "local", "cpus": 1}}
    tasks = {"one": {"inline": until("go"), "resources": {"cpus": 1}}}
    first = workspace.start(tasks, name="first", **box())
    eventually(lambda: status(first, "one") == "RUNNING")
    kill_supervisor(first)
    second = workspace.start(
        {"one": {"inline": "true", "resources": {"cpus": 1}}}, name="second", executors=half
    )
    assert eventually(lambda: second.status().message("one")) == "waits for 1 CPU"
    workspace.touch("go")
    eventually(lambda: status(first, "one") == "SUCCEEDED")  # whoever looks writes it down
    assert statuses(second.wait(timeout=60)) == {"one": "SUCCEEDED"}


def test_gpus_are_device_requests() -> None:
    """`all`, a number and a list of ids become what Docker asks its drivers for."""
    wanted: dict[Any, dict[str, Any]] = {
        "all": {"count": -1},
        2: {"count": 2},
        ("0", "GPU-1"): {"device_ids": ["0", "GPU-1"]},
    }
    for given, request in wanted.items():
        options = {"image": "x", "gpus": list(given) if isinstance(given, tuple) else given}
        made = containers.details(plan(), options, host="unix:///x")
        assert made["create"]["device_requests"] == [{"capabilities": [["gpu"]], **request}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("./d:/data", "/run-18:41/d:/data"),
        ("./d:/data:ro", "/run-18:41/d:/data:ro"),
        ("/a:/b/c:/data:ro,z", "/a:/b/c:/data:ro,z"),
        ("cache:/data", "cache:/data"),
    ],
)
def test_a_volume_is_taken_apart_from_its_end(text: str, expected: str) -> None:
    """A source may have colons, in the folder of the spec or in its own path; a target has none."""
    assert mounts.volume(text, "/run-18:41") == expected


def test_a_source_with_a_colon_is_a_mount(tmp_path: Path) -> None:
    """Docker takes such a source only as a mount; one that does not exist is reported with its whole path."""
    folder = tmp_path / "run-18:41"
    (folder / "d").mkdir(parents=True)
    made = replace(plan(), folder=str(folder))
    options = {"image": "i", "volumes": ["./d:/data:ro", "./gone:/gone", "named:/cache"]}
    details = containers.details(made, options, host="unix:///x")
    create = details["create"]
    assert create["volumes"] == ["named:/cache"]
    assert {"Type": "bind", "Source": f"{folder}/d", "Target": "/data", "ReadOnly": True} in create["mounts"]
    assert mounts.missing_sources(replace(made, details=details)) == [f"{folder}/gone"]


def test_podman_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers as Podman is reported with the reason, before anything is asked that Docker answers."""
    components = [{"Name": "Podman Engine", "Version": "4.3.1"}]
    version = json.dumps({"Version": "4.3.1", "ApiVersion": "1.41", "Components": components})
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/podman.sock")
        server.listen()
        answer = f"HTTP/1.0 200 OK\r\nContent-Length: {len(version)}\r\n\r\n{version}".encode()
        thread = threading.Thread(target=_answer, args=(server, answer), daemon=True)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/podman.sock")
        found = executors_check()
        thread.join(10)
    assert found.startswith(f"False unix://{folder}/podman.sock is Podman")
    assert "RUNNING" in found
    assert "DOCKER_HOST" in found


def _answer(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)
