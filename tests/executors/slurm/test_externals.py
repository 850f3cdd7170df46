"""Tasks that wait in Slurm's own queue for jobs of other experiments, or that `exp` did not submit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.slurm_experiments import LONG, header, is_running, now, soon
from support.workspace import kill_supervisor, log, statuses, until

if TYPE_CHECKING:
    from engines.slurm_cluster import Slurm
    from support.workspace import ExpWorkspace


def waits(**entry: Any) -> dict[str, Any]:
    return {"inline": "echo ran", "dependencies": [entry]}


def dependency_of(slurm: Slurm, job_id: str | None) -> str:
    return slurm.ask("squeue", "--noheader", f"--jobs={job_id}", "--format=%E").strip()


def test_a_job_waits_for_one_of_another_experiment(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """It is Slurm's own dependency, which needs no supervisor, and the other's record has to confirm it."""
    first = workspace.start({"a": until("go"), "bad": f"{until('go')}; exit 3"}, name="first", **header())
    soon(lambda: is_running(first, "a") and is_running(first, "bad"))
    tasks = {
        "b": waits(experiment="first", task="a"),
        "c": waits(experiment="first", task="bad"),
        "d": {**waits(experiment="first", task="bad"), "dependency_type": "afterany"},
    }
    second = workspace.start(tasks, name="second", **header())
    soon(lambda: all(now(second, name).job_id for name in tasks))
    assert {now(second, name).status for name in tasks} == {"SUBMITTED"}
    for name, type_, other in (("b", ("afterok:", "aftercorr:"), "a"), ("d", ("afterany:",), "bad")):
        dependency = dependency_of(slurm, now(second, name).job_id)
        assert dependency.startswith(type_)
        assert str(now(first, other).job_id).partition("_")[0] in dependency
    kill_supervisor(first)
    kill_supervisor(second)
    (workspace.folder / "go").touch()
    soon(lambda: second.files.attempt("b", 1).exit.exists() and second.files.attempt("d", 1).exit.exists())
    assert log(second, "b") == "ran\n"
    second.resume()
    assert statuses(second.wait(timeout=LONG)) == {"b": "SUCCEEDED", "c": "SKIPPED", "d": "SUCCEEDED"}
    assert not second.files.attempt("c", 1).claim.exists()


def test_a_task_waits_for_a_job_of_slurm(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """Jobs that others submitted count as they end; one that Slurm does not know is told."""
    gate = workspace.folder / "go"
    loop = f"while [ ! -e {gate} ]; do sleep 0.1; done"
    good, bad = slurm.submit(loop), slurm.submit(f"{loop}; exit 3")
    over = slurm.submit("true")
    tasks = {
        "b": waits(slurm_job=int(good)),
        "c": waits(slurm_job=bad),
        "d": {**waits(slurm_job=int(bad)), "dependency_type": "afternotok"},
        "e": waits(slurm_job=int(over)),
        "f": waits(slurm_job=99999999),
    }
    run = workspace.start(tasks, **header())
    soon(lambda: now(run, "e").is_over and now(run, "f").is_over)
    assert dependency_of(slurm, now(run, "b").job_id).startswith(f"afterok:{good}")
    gate.touch()
    snapshot = run.wait(timeout=LONG)
    assert statuses(snapshot) == {
        "b": "SUCCEEDED",
        "c": "SKIPPED",
        "d": "SUCCEEDED",
        "e": "SUCCEEDED",
        "f": "SKIPPED",
    }
    assert "does not know the job 99999999" in str(snapshot.history.tasks["f"].message)
    assert f"the Slurm job {bad} is FAILED" in str(snapshot.history.tasks["c"].message)
