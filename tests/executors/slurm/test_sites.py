"""What sites make of Slurm's commands: banners, wrappers, renamed jobs, limits of submitted jobs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from engines.slurm_cluster import PATH
from support.extent import IS_LONG
from support.slurm_experiments import LONG, QUICK, header, is_running, now, scripts, soon
from support.workspace import NOTE, attempt, events, kill_supervisor, statuses, until

from nemorun_cli.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from engines.slurm_cluster import Slurm
    from support.workspace import ExpWorkspace

BANNER = "echo '*** Maintenance on Monday: 4711 ***'\n"


def wrappers(folder: Path, **commands: str) -> None:
    """Put scripts before Slurm's commands on PATH; each calls the real one, under another name on PATH."""
    (folder / "real").mkdir(parents=True)
    for name, text in commands.items():
        real = next(path for place in PATH.split(":") if os.access(path := f"{place}/{name}", os.X_OK))
        (folder / "real" / f"{name}.real").symlink_to(real)
        script = folder / name
        script.write_text(f"#!/bin/sh\n{text}")
        script.chmod(0o755)


def on_path(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let commands find a site's scripts, and those the real commands."""
    patch.setenv("PATH", f"{folder}:{folder / 'real'}:{os.environ['PATH']}")


def test_a_site_may_print_rename_and_hide(
    workspace: ExpWorkspace, slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Banners, names that a site gives to jobs, and ids that it hides, change nothing for any task."""
    site = tmp_path / "site"
    hidden = f'{BANNER}case " $* " in *--test-only*) exec sbatch.real "$@";; esac\n'
    wrappers(
        site,
        sbatch=f'{hidden}sbatch.real --job-name=site-job "$@" >/dev/null && echo thank you',
        squeue=f'{BANNER}squeue.real "$@" && echo bye',
        scontrol=f'{BANNER}exec scontrol.real "$@"',
        scancel='exec scancel.real "$@"',
    )
    tasks = {
        "sweep": {
            "inline": f"{NOTE}; test $N != 2",
            "matrix": {"n": [1, 2, 3]},
            "env": {"N": "${{ matrix.n }}"},
        },
        "held": until("never"),
        "path": 'case $PATH in *"$SITE"*) exit 7;; esac',
        "child": {"inline": NOTE, "dependencies": ["sweep"]},
    }
    with monkeypatch.context() as patch:
        on_path(site, patch)
        run = workspace.start(tasks, env={"SITE": str(site)}, **header())
        job_id = soon(lambda: is_running(run, "held") and now(run, "held").job_id)
        assert slurm.state(job_id) == "RUNNING"
        run.cancel(["held"])
        snapshot = run.wait(timeout=LONG)
    assert statuses(snapshot) == {
        "sweep/n=1": "SUCCEEDED",
        "sweep/n=2": "FAILED",
        "sweep/n=3": "SUCCEEDED",
        "held": "CANCELLED",
        "path": "SUCCEEDED",
        "child": "SKIPPED",
    }
    assert sorted(workspace.lines()) == ["sweep/n=1 1", "sweep/n=2 1", "sweep/n=3 1"]
    ids = {state.job_id for name, state in snapshot.history.tasks.items() if name != "child"}
    assert len(ids) == 5
    assert all(slurm.state(str(job_id)) in ("COMPLETED", "FAILED", "CANCELLED") for job_id in ids)


def test_jobs_have_the_names_that_a_site_wants(
    workspace: ExpWorkspace, slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of the spec's own are no evidence: a job is found by its folder, and no other by its name."""
    site = tmp_path / "site"
    hidden = 'case " $* " in *--test-only*) exec sbatch.real "$@";; esac\n'
    wrappers(site, sbatch=f'{hidden}sbatch.real "$@" >/dev/null && echo thank you')
    cluster = {**QUICK, "job_name": "acct-{name}:{task}", "comment": "mine"}
    other = slurm.submit("sleep 600", "--job-name=acct-tried:held", "--chdir=/tmp")
    with monkeypatch.context() as patch:
        on_path(site, patch)
        run = workspace.start(
            {"held": until("go"), "sweep": {"inline": NOTE, "matrix": {"n": [1, 2]}}},
            **header(cluster=cluster),
        )
        job_id = soon(lambda: is_running(run, "held") and now(run, "held").job_id)
        assert job_id != other
        listed = slurm.ask("squeue", "--noheader", "--me", "--states=all", "--format=%j|%k|%F").split()
        assert f"acct-tried:held|mine|{job_id}" in listed
        kill_supervisor(run)
        (workspace.folder / "go").touch()
        run.resume()
        snapshot = run.wait(timeout=LONG)
    assert set(statuses(snapshot).values()) == {"SUCCEEDED"}
    assert snapshot.history.tasks["held"].attempt == 1
    sweep = snapshot.history.tasks["sweep/n=1"].job_id
    listed = slurm.ask("squeue", "--noheader", "--me", "--states=all", "--format=%j|%k|%F").split()
    assert f"acct-tried:sweep|mine|{str(sweep).partition('_')[0]}" in listed
    assert slurm.state(other) == "RUNNING"
    slurm.ask("scancel", other)


def test_a_refused_early_job_is_decided_by_its_parent(
    workspace: ExpWorkspace, slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Slurm refuses to queue early runs, or is skipped, as its parent ends."""
    del slurm
    site = tmp_path / "site"
    refusal = "echo 'sbatch: error: Batch job submission failed: Job dependency problem' >&2; exit 1"
    wrappers(
        site,
        sbatch=f'for f; do :; done\ngrep -qs dependency= "$f" && {{ {refusal}; }}\nexec sbatch.real "$@"',
    )
    tasks = {
        "bad": f"{until('go')}; exit 3",
        "good": until("go"),
        "never": {"inline": NOTE, "dependencies": ["bad"]},
        "runs": {"inline": NOTE, "dependencies": ["good"]},
    }
    with monkeypatch.context() as patch:
        on_path(site, patch)
        run = workspace.start(tasks, **header())
        soon(lambda: len([event for event in events(run) if event["event"] == "returned"]) == 2)
        assert (now(run, "never").status, now(run, "runs").status) == ("PENDING", "PENDING")
        workspace.touch("go")
        snapshot = run.wait(timeout=LONG)
    assert (statuses(snapshot)["never"], statuses(snapshot)["runs"]) == ("SKIPPED", "SUCCEEDED")
    assert workspace.lines() == ["runs 1"]


def test_a_limit_of_submitted_jobs_is_waited_for(workspace: ExpWorkspace, slurm_limits: Slurm) -> None:
    """Tasks wait for a limit, which `why` names; early jobs yield, and arrays are split; zero is refused."""
    slurm_limits.limit(submitted=2)
    tasks = {
        "first": until("go"),
        "second": {"inline": NOTE, "dependencies": ["first"]},
        "third": {"inline": "exit 3", "dependencies": ["second"]},
        "fourth": {"inline": NOTE, "dependencies": ["third"]},
        "ready": {"inline": until("ready"), "executor": "local"},
        "sweep": {"inline": NOTE, "matrix": {"n": [1, 2, 3]}, "dependencies": ["ready"]},
    }
    run = workspace.start(tasks, **header())
    members = [f"sweep/n={n}" for n in (1, 2, 3)]
    soon(lambda: now(run, "second").message)  # it waits in Slurm's queue, which takes no other job
    workspace.touch("ready")
    waits = soon(lambda: [name for name in members if "SubmitJobLimit" in (now(run, name).message or "")])
    told = workspace.exp("why", run.id, waits[-1], code=None).stdout
    assert "AssocMaxSubmitJobLimit" in told
    assert "run.max_parallel" in told
    assert str(run.status().status) == "RUNNING"
    yielded = soon(lambda: [event for event in events(run) if "gave way" in (event.get("message") or "")])
    assert [(event["event"], event["task"]) for event in yielded] == [("returned", "second")]
    soon(lambda: all(now(run, name).is_over for name in members))
    assert is_running(run, "first")
    workspace.touch("go")
    snapshot = run.wait(timeout=LONG)
    assert statuses(snapshot) == {
        **dict.fromkeys(("first", "second", "ready", *members), "SUCCEEDED"),
        "third": "FAILED",
        "fourth": "SKIPPED",
    }
    assert sorted(workspace.lines()) == ["second 1", "sweep/n=1 1", "sweep/n=2 1", "sweep/n=3 1"]
    slurm_limits.limit(submitted=0)
    state = workspace.run({"one": "true"}, **header()).history.tasks["one"]
    assert (state.status, state.reason) == ("FAILED", "launch")
    assert "AssocMaxSubmitJobLimit" in (state.message or "")


def test_another_cluster_is_carried_through_or_refused(
    workspace: ExpWorkspace, slurm_accounting: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that sbatch names is that of all further commands; the option itself is refused.

    The exit record of a task counts, although its job script was killed, and Slurm forgot the job.
    """
    with pytest.raises(SpecError, match="clusters"):
        workspace.start(
            {"one": "true"}, **header(cluster={**QUICK, "additional_parameters": {"clusters": "x"}})
        )
    site = tmp_path / "site"
    only = 'case " $* " in *--clusters=exptest*) exec {0}.real "$@";; esac\nexit {1}\n'
    wrappers(
        site,
        sbatch='exec sbatch.real --clusters=exptest "$@"',
        squeue=only.format("squeue", 0),
        sacct=only.format("sacct", 0),
        scancel=only.format("scancel", 1),
    )
    tasks = {"one": until("never"), "two": f"{until('go')}; exit 4"}
    with monkeypatch.context() as patch:
        on_path(site, patch)
        run = workspace.start(tasks, **header())
        soon(lambda: is_running(run) and (attempt(run, "two").directory / "running").exists())
        kill_supervisor(run)
        assert is_running(run, "two")
        run.cancel(["one"])
        workspace.touch("go")
        soon(
            lambda: attempt(run, "two").exit.exists() and slurm_accounting.forgot(str(now(run, "two").job_id))
        )
        (attempt(run, "two").directory / "running").touch()  # as KILL of the script would leave it
        soon(lambda: now(run, "two").is_over)
    assert statuses(run.status()) == {"one": "CANCELLED", "two": "FAILED"}
    assert (now(run, "two").reason, now(run, "two").exit_code) == ("exit", 4)
    assert (scripts(run)[0].parent / "job").read_text().endswith(";exptest")
    assert slurm_accounting.jobs(workspace.home.directory) == []


def test_a_slow_answer_about_arrays_delays_only_arrays(
    workspace: ExpWorkspace, slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until Slurm has told how long an array may be, others are looked after, and jobs may be cancelled."""
    site = tmp_path / "site"
    waits = f'case "$*" in "show config") until test -e {tmp_path}/go; do sleep 0.1; done;; esac\n'
    wrappers(site, scontrol=f'{waits}exec scontrol.real "$@"')
    tasks = {
        "array": {"inline": NOTE, "matrix": {"n": [1, 2, 3]}},
        "first": {"inline": "true", "executor": "local"},
        "second": {"inline": "true", "executor": "local", "dependencies": ["first"]},
    }
    with monkeypatch.context() as patch:
        on_path(site, patch)
        run = workspace.start(tasks, **header())
        soon(lambda: now(run, "second").status == "SUCCEEDED")
        assert [now(run, f"array/n={number}").status for number in (1, 2, 3)] == ["SUBMITTED"] * 3
        assert slurm.jobs(workspace.home.directory) == []
        run.cancel(["array/n=2"])
        soon(lambda: now(run, "array/n=2").status == "CANCELLED")
        (tmp_path / "go").touch()
        snapshot = run.wait(timeout=LONG)
    found = statuses(snapshot)
    assert [found[f"array/n={number}"] for number in (1, 2, 3)] == ["SUCCEEDED", "CANCELLED", "SUCCEEDED"]
    assert len(workspace.lines()) == 2


@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize("code", [7, 0] if IS_LONG else [7])
def test_what_ended_before_the_signal_of_its_stop_was_not_stopped(
    workspace: ExpWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A task that ends by itself in the moment before the signal has its own result: FAILED if it failed."""
    ends = f"{workspace.home.directory}/experiments/*/*/tasks/train/attempt-1"
    wrappers(
        tmp_path / "site",
        scancel=f'until [ -e {ends}/exit.json ]; do sleep 0.05; done; exec scancel.real "$@"',
    )
    train = {
        "inline": f"echo loss=0; until [ -e {ends}/stopped ]; do sleep 0.02; done; exit {code}",
        "metrics": {"train": "loss=(?P<loss>.*)"},
        "stop": {"metric": "loss", "below": 1},
    }
    with monkeypatch.context() as patch:
        on_path(tmp_path / "site", patch)
        history = workspace.run({"train": train}, **header()).history
    state = history.tasks["train"]
    expected = ("FAILED", "exit", 7) if code else ("SUCCEEDED", None, 0)
    assert (str(state.status), state.reason, state.exit_code) == expected
