"""Resources of this machine between experiments that run at the same time.

No GPU is needed: a program called `nvidia-smi` on PATH stands in for NVIDIA's, and says that there are two.
Who gets which is decided by `exp` alone, and seen by what tasks find in CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import events, kill, kill_supervisor, shim_pid, status, until

from nemorun_cli.errors import ExpError, SpecError
from nemorun_cli.experiment import launch
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.system import crashpoints, hardware, locks, slots

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.experiment.run import Run

SEEN = 'echo "$EXP_ID $CUDA_VISIBLE_DEVICES" >>seen; '
ONE: dict[str, Any] = {"gpus": 1, "cpus": 0.1}
TWO: dict[str, Any] = {"gpus": 2, "cpus": 0.1}


@pytest.fixture(autouse=True)
def gpus(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two GPUs, as far as `nvidia-smi` tells."""
    program = workspace.exp.folder.parent / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "--query-gpu=index,uuid --format=csv,noheader" ] || exit 9\n'
        "echo '0, GPU-00000000-aaaa'\necho '1, GPU-11111111-bbbb'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return program


def start(
    workspace: ExpWorkspace, name: str, script: str, wanted: dict[str, Any] = ONE, **header: Any
) -> Run:
    """Start an experiment of one task that asks for resources."""
    return workspace.start({"a": {"inline": script, "resources": wanted}}, name=name, **header)


def waits(run: Run, task: str = "a") -> str:
    """What a task waits for, once it does."""
    return str(eventually(lambda: run.status().message(task)))


def used(workspace: ExpWorkspace) -> list[str]:
    """Who has slots of this machine."""
    return sorted(one.experiment for one in slots.used(workspace.home.slots(locks.hostname())))


def completed(run: Run) -> bool:
    return run.wait(timeout=60).status is ExperimentStatus.COMPLETED


def test_a_machine_is_asked_anew_when_its_program_has_come(
    gpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that ran experiments before there were GPUs, such as a notebook, sees those that came."""
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert hardware.find({}, with_gpus=True).gpus == ()
    assert gpus.exists()
    assert hardware.find({}, with_gpus=True).gpus == ("0", "1")


def test_two_experiments_never_share_a_gpu(workspace: ExpWorkspace) -> None:
    """Of experiments at the same time each task has a GPU of its own, and all of them have their turn."""
    check = (
        'for gpu in $(echo "$CUDA_VISIBLE_DEVICES" | tr , " "); do mkdir "gpu-$gpu" || exit 9; done; '
        'sleep 0.1; for gpu in $(echo "$CUDA_VISIBLE_DEVICES" | tr , " "); do rmdir "gpu-$gpu"; done; ' + SEEN
    )
    tasks = {
        "each": {"inline": check, "resources": ONE, "matrix": {"n": [1, 2, 3, 4]}},
        "both": {"inline": check, "resources": TWO},
    }
    runs = [workspace.start(tasks, name=name, run={"max_parallel": 8}) for name in ("one", "two", "three")]
    assert all(completed(run) for run in runs)
    seen = Counter(line.split()[1] for line in workspace.lines("seen"))
    assert seen["0,1"] == 3
    assert seen["0"] + seen["1"] == 12
    assert used(workspace) == []


def test_task_outlives_its_supervisor_and_keeps_its_gpu(workspace: ExpWorkspace) -> None:
    """A supervisor that is killed frees nothing: its task goes on with its GPUs, and others wait."""
    first = start(workspace, "first", SEEN + until("go"), TWO)
    eventually(lambda: workspace.lines("seen"))
    kill_supervisor(first)
    second = start(workspace, "second", SEEN, ONE)
    assert waits(second) == "waits for 0.1 CPUs and 1 GPU"
    assert used(workspace) == [first.id]
    why = workspace.exp("why", second.id, "a").stdout
    assert f"it waits for 1 GPU: 0 of 2 GPUs free; held by {first.id} a (0.1 CPUs and 2 GPUs)" in why
    workspace.touch("go")
    assert completed(second)
    assert status(first, "a") == "SUCCEEDED"


def test_removed_files_free_no_gpu(workspace: ExpWorkspace) -> None:
    """Within a second a supervisor records again what its tasks use, and that one waits."""
    first = start(workspace, "first", SEEN + until("go"), TWO)
    eventually(lambda: workspace.lines("seen"))
    folder = workspace.home.slots(locks.hostname())
    shutil.rmtree(folder)
    eventually(lambda: used(workspace) == [first.id])
    second = start(workspace, "second", SEEN, ONE)
    waits(second)
    (folder / f"{second.id}.waiting").unlink()
    eventually(lambda: [entry.experiment for entry in slots.waiting(folder)] == [second.id])
    workspace.touch("go")
    assert completed(first)
    assert completed(second)
    assert used(workspace) == []


def test_tree_that_is_killed_frees_its_gpu(workspace: ExpWorkspace) -> None:
    """The kernel frees slots with the last process that had them: nobody has to be left to do it."""
    first = start(workspace, "first", SEEN + until("never"), TWO)
    shim = shim_pid(first, "a")
    kill_supervisor(first)
    second = start(workspace, "second", SEEN, TWO)
    waits(second)
    os.killpg(shim, 9)
    assert completed(second)
    kill(shim)
    assert status(first, "a") == "FAILED"


def test_resumed_experiment_adopts_what_runs_with_its_slots(workspace: ExpWorkspace) -> None:
    """After a resume the task that went on still has its GPU, and gives it back at its end."""
    first = start(workspace, "first", SEEN + until("go"), TWO)
    shim_pid(first, "a")
    kill_supervisor(first)
    assert first.resume()
    second = start(workspace, "second", SEEN, ONE)
    waits(second)
    workspace.touch("go")
    assert completed(first)
    assert completed(second)
    assert [line.split()[0] for line in workspace.lines("seen")] == [first.id, second.id]


@pytest.mark.parametrize(
    "moment",
    [
        *("ledger.written:2", "attempt.folder:1", "attempt.plan:2", "attempt.locked:1", "attempt.spawned:1"),
        *("attempt.spawned:2", "attempt.submitted:1", "attempt.over:1", "attempt.over:3"),
    ],
)
def test_killed_between_taking_a_gpu_and_using_it(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A supervisor killed at any write on the way leaves no GPU taken for nobody, and none given twice."""
    script = (
        'mkdir "gpu-$CUDA_VISIBLE_DEVICES" || exit 9; sleep 0.1; '
        'rmdir "gpu-$CUDA_VISIBLE_DEVICES"; echo "$EXP_TASK" >>ran'
    )
    tasks = {"a": {"inline": script, "resources": ONE, "matrix": {"n": [1, 2, 3]}}}
    monkeypatch.setenv(crashpoints.VARIABLE, moment)
    try:
        run = workspace.start(tasks, run={"max_parallel": 8})
    except ExpError:
        run = find(home=workspace.home)
    monkeypatch.delenv(crashpoints.VARIABLE)
    other = workspace.start({"b": {"inline": script, "resources": ONE}}, name="other")
    run.wait(timeout=60)
    run.resume()
    assert completed(run)
    assert completed(other)
    assert sorted(workspace.lines()) == ["a/n=1", "a/n=2", "a/n=3", "b"]
    assert used(workspace) == []


def test_large_request_is_not_overtaken(workspace: ExpWorkspace) -> None:
    """What became free is kept for who waits longest, although others could start with it."""
    left = start(workspace, "left", until("left"), ONE)
    right = start(workspace, "right", until("right"), ONE)
    eventually(lambda: used(workspace) == sorted([left.id, right.id]))
    large = start(workspace, "large", SEEN + until("large"), TWO)
    waits(large)
    small = start(workspace, "small", SEEN, ONE)
    waits(small)
    workspace.touch("left")
    assert completed(left)
    eventually(lambda: "reserved for earlier requests" in workspace.exp("why", small.id, "a").stdout)
    assert status(small, "a") == "PENDING"
    workspace.touch("right")
    eventually(lambda: status(large, "a") == "RUNNING")
    assert status(small, "a") == "PENDING"
    workspace.touch("large")
    assert completed(small)
    assert completed(large)
    assert completed(right)


def test_who_waits_says_so_and_can_be_cancelled(workspace: ExpWorkspace) -> None:
    """A task that waits for slots says for what in the status, and a cancel takes it out of the queue."""
    first = start(workspace, "first", until("go"), TWO)
    eventually(lambda: status(first, "a") == "RUNNING")
    tasks = {"a": {"inline": SEEN, "resources": ONE}, "b": {"inline": SEEN, "resources": ONE}}
    second = workspace.start(tasks, name="second")
    waits(second)
    told = workspace.exp("status", second.id).stdout
    assert "waiting:    a for 0.1 CPUs and 1 GPU" in told
    assert workspace.exp.task("a", second.id)["resources"] == {"gpus": 1, "cpus": 0.1}
    why = workspace.exp("why", second.id, "b").stdout
    assert "it waits for 0.1 CPUs and 1 GPU, after a" in why
    second.cancel()
    assert slots.waiting(workspace.home.slots(locks.hostname())) == []
    workspace.touch("go")
    assert completed(first)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"gpus": 3}, "this machine has 2 GPUs, not 3 (reported by nvidia-smi)"),
        ({"cpus": 100000}, "CPUs, not 100000"),
        ({"memory": "900T"}, "of memory, not 900T"),
    ],
)
def test_what_never_fits_is_refused_with_its_place(exp: Exp, wanted: dict[str, Any], told: str) -> None:
    """More than the machine has is a problem of the spec, told before anything is created."""
    text = "name: a\ntasks:\n  t:\n    command: [echo]\n    resources: {%s}\n"
    spec = exp.spec(text % ", ".join(f"{name}: {value}" for name, value in wanted.items()))
    for args in (("run", spec), ("validate", spec, "--engines"), ("run", spec, "-d")):
        result = exp(*args, code=2)
        assert f"{spec}:5:16: tasks.t.resources: on local: this machine has" in result.stderr
        assert told in result.stderr
    exp("validate", spec)
    exp("run", spec, "--dry-run")
    assert exp("list", "-q").stdout == ""


def test_a_member_has_to_fit_next_to_its_leader(exp: Exp) -> None:
    """With a leader, each member runs at the same time as it; without one, they can take turns."""
    group = "{until: %s, resources: {gpus: 2}, group: [{command: [echo]}, {command: [echo]}]}"
    spec = exp.spec(f"name: a\ntasks: {{t: {group % 1}}}\n")
    stderr = exp("validate", spec, "--engines", code=2).stderr
    assert "tasks.t.until: on local: this machine has 2 GPUs, not 4" in stderr
    assert "t/0 and t/1 run at the same time" in stderr
    exp("validate", exp.spec(f"name: a\ntasks: {{t: {group % 'all'}}}\n"), "--engines")


def test_supervisor_that_was_killed_waits_no_more(workspace: ExpWorkspace) -> None:
    """Who waited and was killed keeps nobody behind it, and leaves nothing lying about."""
    first = start(workspace, "first", until("go"), ONE)
    eventually(lambda: status(first, "a") == "RUNNING")
    large = start(workspace, "large", SEEN, TWO)
    waits(large)
    small = start(workspace, "small", SEEN, ONE)
    waits(small)
    kill_supervisor(large)
    assert completed(small)
    workspace.touch("go")
    assert completed(first)
    assert large.resume()
    assert completed(large)
    assert [path.name for path in workspace.home.slots(locks.hostname()).iterdir()] == ["lock"]


def test_group_that_starts_together_takes_all_it_needs_at_once(workspace: ExpWorkspace) -> None:
    """Members of a `together` group start when there is room for all; if there never is, they are refused."""
    group = {"group": [{"inline": SEEN}, {"inline": SEEN}], "together": True, "resources": ONE}
    first = start(workspace, "first", until("go"), ONE)
    eventually(lambda: status(first, "a") == "RUNNING")
    second = workspace.start({"g": group}, name="second")
    assert waits(second, "g/0") == "waits for 0.2 CPUs and 2 GPUs"
    assert workspace.lines("seen") == []
    workspace.touch("go")
    assert completed(second)
    assert {line.split()[1] for line in workspace.lines("seen")} == {"0", "1"}
    spec = workspace.spec({"g": {**group, "resources": TWO}})
    assert (
        "tasks.g.together: on local: this machine has 2 GPUs, not 4"
        in workspace.exp("run", spec, code=2).stderr
    )
    assert completed(first)


def test_inherited_devices_are_all_there_are(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is told by CUDA_VISIBLE_DEVICES which GPUs are theirs gives tasks no others, by number or by id."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1111")
    first = start(workspace, "first", SEEN + until("go"), ONE)
    assert eventually(lambda: workspace.lines("seen")) == [f"{first.id} GPU-1111"]
    refused = workspace.spec({"a": {"inline": ":", "resources": TWO}})
    assert "1 GPU, not 2 (CUDA_VISIBLE_DEVICES=GPU-1111)" in workspace.exp("run", refused, code=2).stderr
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    second = start(workspace, "second", SEEN, ONE)
    waits(second)
    workspace.touch("go")
    assert completed(second)
    assert completed(first)


def test_task_that_asks_for_no_gpu_sees_none(workspace: ExpWorkspace) -> None:
    """`gpus: 0` hides all GPUs; a task that says nothing of GPUs sees what the caller does."""
    show = 'echo "$EXP_TASK ${CUDA_VISIBLE_DEVICES-unset} ${CUDA_DEVICE_ORDER-unset}" >>ran'
    tasks = {
        "none": {"inline": show, "resources": {"gpus": 0}},
        "plain": {"inline": show},
        "cpus": {"inline": show, "resources": {"cpus": 1}},
        "one": {"inline": show, "resources": ONE},
    }
    workspace.run(tasks)
    assert sorted(workspace.lines()) == [
        "cpus unset unset",
        "none  unset",
        "one 0 PCI_BUS_ID",
        "plain unset unset",
    ]


def test_ledger_tells_which_gpus_a_task_had(workspace: ExpWorkspace) -> None:
    """With the submission stands which GPUs the attempt was given, as CUDA_VISIBLE_DEVICES has them."""
    run = start(workspace, "first", ":", TWO)
    assert completed(run)
    assert [event["gpus"] for event in events(run) if "gpus" in event] == ["0,1"]
    assert "attempt 1, GPUs 0,1" in workspace.exp("events", run.id).stdout


def test_machine_can_be_told_by_hand(workspace: ExpWorkspace) -> None:
    """An executor's options say what its tasks share, without any `nvidia-smi`."""
    show = 'echo "$CUDA_VISIBLE_DEVICES" >>ran'
    executors = {"some": {"type": "local", "gpus": [5, 7], "cpus": 64, "memory": "2T"}}
    wanted = {"gpus": 2, "cpus": 64, "memory": "1.5T"}
    workspace.run({"a": {"inline": show, "resources": wanted, "executor": "some"}}, executors=executors)
    executors = {"some": {"type": "local", "gpus": 1.0}}
    workspace.run(
        {"a": {"inline": show, "resources": {"gpus": 1.0}, "executor": "some"}}, executors=executors
    )
    assert workspace.lines() == ["5,7", "0"]


def test_cpus_and_memory_decide_who_starts_and_limit_nothing(workspace: ExpWorkspace) -> None:
    """Tasks start as long as what they ask for adds up to what there is."""
    executors = {"local": {"type": "local", "cpus": 2, "memory": "1G"}}
    body = {"inline": "echo + >>ran; " + until("go"), "resources": {"cpus": 0.5, "memory": "512M"}}
    run = workspace.start(
        {"a": {**body, "matrix": {"n": [1, 2, 3]}}}, executors=executors, run={"max_parallel": 8}
    )
    eventually(lambda: len(workspace.lines()) == 2)
    assert waits(run, "a/n=3") == "waits for 0.5 CPUs and 512M of memory"
    why = workspace.exp("why", run.id, "a/n=3").stdout
    assert "it waits for 512M of memory: 0B of 1G of memory free; held by a/n=1" in why
    workspace.touch("go")
    assert completed(run)


def test_machine_that_shrank_fails_the_task_on_resume(workspace: ExpWorkspace, gpus: Path) -> None:
    """What can no longer ever fit, after a resume elsewhere, fails with the reason and waits for nothing."""
    run = start(workspace, "first", until("never"), TWO)
    kill_all = shim_pid(run, "a")
    kill_supervisor(run)
    os.killpg(kill_all, 9)
    eventually(lambda: status(run, "a") == "FAILED")
    gpus.write_text("#!/bin/sh\necho '0, GPU-00000000-aaaa'\n")
    assert run.resume()
    state = run.wait(timeout=60).history.tasks["a"]
    assert (state.status, state.reason) == ("FAILED", "launch")
    assert state.message == "this machine has 1 GPU, not 2 (reported by nvidia-smi)"


def test_executor_whose_options_are_wrong_is_not_asked(exp: Exp) -> None:
    """What is wrong with an executor's options is told, and that of others with what asks too much."""
    spec = exp.spec(
        "executors: {ill: {type: local, cpus: many, memory: 3}, no: {type: nope}, box: {type: docker}}\n"
        "tasks:\n"
        "  a: {command: [echo], resources: {cpus: 1, memory: 1G}, executor: ill}\n"
        "  b: {command: [echo], resources: {cpus: 1}, executor: no}\n"
        "  c: {command: [echo], resources: {cpus: 1}, executor: box}\n"
        "  d: {command: [echo], resources: {gpus: 3}}\n"
    )
    told = exp("validate", spec, "--engines", code=2).stderr
    assert "the spec has 5 problems" in told
    for place in ("ill.cpus", "ill.memory", "no.type", "box: needs the key 'image'"):
        assert f"executors.{place}" in told
    assert "tasks.d.resources: on local: this machine has 2 GPUs, not 3" in told


def test_devices_in_env_contradict_gpus(exp: Exp) -> None:
    """A task cannot name its GPUs and be given some."""
    spec = exp.spec(
        "name: a\nenv: {CUDA_VISIBLE_DEVICES: '3'}\ntasks: {t: {command: [echo], resources: {gpus: 1}}}\n"
    )
    assert (
        "CUDA_VISIBLE_DEVICES: cannot be combined with resources.gpus" in exp("validate", spec, code=2).stderr
    )


def test_experiments_without_resources_make_no_slots(workspace: ExpWorkspace) -> None:
    """Who asks for nothing pays for nothing: no file is made, and nobody is asked for GPUs."""
    workspace.run({"a": "true"})
    assert not (workspace.home.directory / "slots").exists()


def test_from_python_too(workspace: ExpWorkspace) -> None:
    """What never fits is told to callers of the API as a problem of the spec."""
    with pytest.raises(SpecError, match="has 2 GPUs, not 9"):
        launch.run(workspace.spec({"a": {"inline": ":", "resources": {"gpus": 9}}}), home=workspace.home)
