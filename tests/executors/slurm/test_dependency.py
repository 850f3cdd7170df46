"""Whom jobs wait for, in sbatch's words, and what their script makes of their parents' records."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.executors import Job, Upstream
from nemorun_cli.executors.slurm.dependency import (
    DECLINED,
    SIGNALLED,
    array,
    batches,
    excludes,
    parents_of,
    text,
)
from nemorun_cli.executors.slurm.job_script import job_script, member_text
from nemorun_cli.executors.slurm.sbatch_options import Request
from nemorun_cli.executors.slurm.squeue import QueueRow
from nemorun_cli.model.plan import Plan
from nemorun_cli.storage.paths import AttemptFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

ASKED = Request(options=())


def awaited(job_id: str, need: Any = "success") -> Upstream:
    """Somebody who is waited for."""
    return Upstream(key=("p", 1), job_id=job_id, files=AttemptFiles(Path("/p")), need=need)


def job(name: str, *behind: Upstream) -> Job:
    """A job behind these."""
    return Job(experiment="e", task=name, attempt=1, files=AttemptFiles(Path("/t", name)), upstream=behind)


def size(job_id: str) -> int | None:
    """One array of three members."""
    return 3 if job_id == "7" else None


def made(*jobs: Job) -> list[tuple[Sequence[str], str, Any]]:
    """The calls of sbatch for these."""
    found = batches([(one, ASKED) for one in jobs], longest=2, size=size)
    return [([one.task for one in batch.jobs], batch.dependency, batch.indices) for batch in found]


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        ([awaited("5"), awaited("6")], "afterok:5:6"),
        ([awaited("5"), awaited("6", "end")], "afterok:5,afterany:6"),
        ([awaited("5", "no_cancel")], "afterany:5"),
        ([awaited("5", "failure")], "afternotok:5"),
        ([awaited("5", "failure"), awaited("6", "failure")], "afterany:5:6"),
        ([awaited("7_0"), awaited("7_1"), awaited("7_2")], "afterok:7"),
        ([awaited("7_0"), awaited("7_1")], "afterok:7_0:7_1"),
        ([awaited("8+0"), awaited("8+1"), awaited("9")], "afterok:8:9"),
        ([], ""),
    ],
)
def test_dependencies_in_the_words_of_sbatch(behind: list[Upstream], said: str) -> None:
    """An array that is waited for whole is named once; that one of several failed is not Slurm's to tell."""
    assert text(behind, size) == said


def test_the_jobs_of_a_dependency_are_those_that_were_named() -> None:
    """What is read back from a submission, also after a resume, is what sbatch was given."""
    assert list(parents_of("afterok:5:7_1,afterany:9", 0)) == [
        ("afterok", "5"),
        ("afterok", "7_1"),
        ("afterany", "9"),
    ]
    assert list(parents_of("aftercorr:7", 3)) == [("afterok", "7_3")]
    assert list(parents_of("", 0)) == []


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        ("afterok", {"FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}),
        ("afternotok", {"COMPLETED"}),
        ("afterany", set()),
    ],
)
def test_only_an_end_can_exclude_a_dependency(kind: str, states: set[str]) -> None:
    """As long as a parent may still end either way, its child may still start."""
    known = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "COMPLETING", "RUNNING", "PENDING")
    assert {state for state in known if excludes(kind, QueueRow(job_id="5", state=state, name="p"))} == states


def test_equal_dependencies_share_an_array() -> None:
    """Jobs behind the same parents are one array, split where it gets too long."""
    five = awaited("5")
    assert made(job("a", five), job("b", five), job("c"), job("d", five)) == [
        (["a", "b"], "afterok:5", None),
        (["d"], "afterok:5", None),
        (["c"], "", None),
    ]


def test_twins_share_an_array() -> None:
    """Jobs that each wait for a member of their own are one array, with the indices of these."""
    twins = [job(f"t{index}", awaited(f"7_{index}")) for index in (0, 2)]
    assert made(*twins) == [(["t0", "t2"], "aftercorr:7", (0, 2))]
    assert made(twins[0]) == [(["t0"], "afterok:7_0", None)]
    assert made(twins[0], job("u", awaited("7_0"))) == [(["t0", "u"], "afterok:7_0", None)]


def test_indices_are_written_as_ranges() -> None:
    """What follows one another is a range."""
    assert array([0, 1, 2, 3]) == "0-3"
    assert array([7, 1, 2]) == "1-2,7"
    assert array([4]) == "4"


OK, BAD, LATE = '{"exit_code":0}\n', '{"exit_code":3}\n', '{"exit_code":0,"timeout":true}\n'


@pytest.mark.parametrize(
    ("need", "files", "runs"),
    [
        ("success", {"exit.json": OK, "claim": ""}, True),
        ("success", {"exit.json": OK, "claim": "", "outputs": "a=b c\n\nd:=1.5\ne:=true\n"}, True),
        ("success", {"exit.json": OK, "claim": "", "outputs": 'a:={"b": 1}\n'}, False),
        ("success", {"exit.json": OK, "claim": "", "outputs": "not an output\n"}, False),
        ("success", {"exit.json": OK, "claim": "", "outputs": "a=ä\n"}, False),
        ("success", {"exit.json": OK, "claim": "", SIGNALLED: ""}, False),
        ("success", {"exit.json": LATE, "claim": ""}, False),
        ("success", {"exit.json": BAD, "claim": ""}, False),
        ("success", {}, False),
        ("no_cancel", {"exit.json": OK, "claim": ""}, True),
        ("no_cancel", {"exit.json": BAD, "claim": ""}, True),
        ("no_cancel", {"exit.json": BAD, "claim": "", SIGNALLED: ""}, False),
        ("no_cancel", {"claim": ""}, False),
        ("end", {"exit.json": BAD, "claim": "", SIGNALLED: ""}, True),
        ("end", {"claim": ""}, True),
        ("end", {}, False),
        ("end", {DECLINED: ""}, False),
        ("failure", {"exit.json": BAD, "claim": ""}, True),
        ("failure", {"claim": ""}, True),
        ("failure", {"exit.json": OK, "claim": ""}, False),
        ("failure", {}, False),
    ],
)
def test_a_job_runs_only_what_may_run_for_sure(
    tmp_path: Path,
    need: str,
    files: dict[str, str],
    runs: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Its parents' records decide: without them, or in doubt, the task is not run, and that is noted."""
    assert does_run(tmp_path, need, attempt(tmp_path / "pa'rent", **files)) is runs


@pytest.mark.parametrize(
    ("need", "files", "runs"),
    [
        ("success", {"exit.json": BAD, "claim": ""}, True),
        ("success", {"claim": ""}, True),
        ("success", {"exit.json": OK, "claim": ""}, False),
        ("success", {}, False),
        ("no_cancel", {"exit.json": BAD, "claim": ""}, False),
        ("failure", {"exit.json": OK, "claim": ""}, True),
        ("failure", {"exit.json": BAD, "claim": ""}, False),
    ],
)
def test_what_never_ran_is_over_only_if_it_never_can(
    tmp_path: Path,
    need: str,
    files: dict[str, str],
    runs: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A parent that left the queue is skipped if its own parents say so; else it may still come."""
    grandparent = attempt(tmp_path / "grandparent", **files)
    parent = attempt(tmp_path / "parent", behind=f"{need}\0plain\0{grandparent}\0")
    assert does_run(tmp_path, "end", parent) is runs


def attempt(folder: Path, **files: str) -> Path:
    """An attempt's folder with these files."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def does_run(place: Path, need: str, parent: Path) -> bool:
    """Whether a job that needs this of a parent runs its task, as its own files tell."""
    own = attempt(place / "own")
    plan = Plan(
        experiment="e",
        task="t",
        attempt=1,
        executor="x",
        kind="command",
        argv=("/bin/true",),
        workdir="/",
        folder="/",
        env={"EXP_OUTPUT": str(own / "outputs")},
        stop_signal="TERM",
        stop_grace=1.0,
    )
    behind, news = [need, "plain", str(parent)], place / "news"
    member = member_text(plan, attempt=own, mask="022", env={}, arguments=["-c", "true"], upstream=behind)
    (place / "0").write_text(member, encoding="utf-8")
    text = job_script(ASKED, name="n", folder=place, indices=(), news=news, dependency="afterok:1")
    text = f"sleep() {{ :; }} # what is not here by now will not come\n{text}"
    (place / "script").write_text(text, encoding="utf-8")
    subprocess.run(["/bin/bash", str(place / "script")], cwd=place, check=False, timeout=30)
    assert news.exists()
    assert (own / DECLINED).exists() is not (own / "log").exists()
    return (own / "log").exists()
