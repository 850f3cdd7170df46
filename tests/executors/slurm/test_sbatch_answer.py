"""What sbatch answers: an id among whatever a site prints, and three kinds of refusal."""

from __future__ import annotations

import pytest

from nemorun_cli.executors.background_commands import CommandResult
from nemorun_cli.executors.slurm import sbatch_answer
from nemorun_cli.executors.slurm.attempt_jobs import OVER_MEMORY
from nemorun_cli.executors.slurm.sbatch_answer import FULL, UNNAMED, Accepted, Refused
from nemorun_cli.executors.slurm.squeue import SEPARATOR, foreign_text, is_of, parse_sacct, parse_squeue

FAILED = "sbatch: error: Batch job submission failed: "
POLICY = f"{FAILED}Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
BANNER = "*** Maintenance on 24.12. ***\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("17\n", Accepted("17")),
        ("17;other\n", Accepted("17", "other")),
        (f"{BANNER}2026\n17\n", Accepted("17")),
        (f"17\n{BANNER}", Accepted("17")),
        ("Submitted batch job 17\n", Accepted("17")),
        ("Submitted batch job 17 on cluster far-1\n", Accepted("17", "far-1")),
        (BANNER, None),
        ("job 17 is welcome\n", None),
        ("", None),
    ],
)
def test_an_id_is_what_has_its_form(text: str, found: Accepted | None) -> None:
    """A site's banner before or after the id is no part of it, and no number in a sentence is an id."""
    assert sbatch_answer.accepted(text) == found
    read = sbatch_answer.read(CommandResult(code=0, output=text))
    assert read == found or (isinstance(read, Refused) and read.kind == "away")


@pytest.mark.parametrize(
    ("complaint", "kind", "limit"),
    [
        (f"{FAILED}Invalid partition specified: standby", "never", ""),
        (f"{FAILED}Invalid account authentication-team or munge", "never", ""),
        (f"{FAILED}Invalid feature specification: timed out", "never", ""),
        (f"sbatch: error: QOSMaxCpuPerUserLimit\n{POLICY}", "never", ""),
        ("there is no sbatch on PATH", "never", ""),
        (f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}", "limit", "QOSMaxSubmitJobPerUserLimit"),
        (f"sbatch: error: AssocGrpSubmitJobsLimit\n{POLICY}", "limit", "AssocGrpSubmitJobsLimit"),
        (POLICY, "limit", UNNAMED),
        (f"{FAILED}Resource temporarily unavailable", "limit", FULL),
        (f"{FAILED}Unable to contact slurm controller (connect failure)", "away", ""),
        (f"{FAILED}Socket timed out on send/recv operation", "away", ""),
        (f"{FAILED}Slurm backup controller in standby mode", "away", ""),
        (f"{FAILED}Protocol authentication error", "away", ""),
        ("sbatch: error: If munged is up, restart with --num-threads=10", "away", ""),
        ("sbatch did not end within 60 s.", "away", ""),
    ],
)
def test_a_refusal_is_of_one_of_three_kinds(complaint: str, kind: str, limit: str) -> None:
    """A limit of jobs in the queue passes, an outage too; a name that a user chose makes no outage."""
    found = sbatch_answer.read(CommandResult(code=1, complaint=complaint))
    assert isinstance(found, Refused)
    assert (found.kind, found.limit) == (kind, limit)
    assert "\n" not in found.reason


def test_only_rows_are_jobs() -> None:
    """What a site prints before, between and after the rows is passed over, in every answer."""
    queue = SEPARATOR.join(["7_[1-2]", "PENDING", "1", "N/A", "N/A", "None", "/f", "/f/script", "n"])
    (row,) = parse_squeue(f"{BANNER}{queue}\n{SEPARATOR * 9}\n{BANNER}")
    assert (row.job_id, row.folder) == ("7_[1-2]", "/f")
    done = SEPARATOR.join(["7_1", "CANCELLED by 0", "1", "1", "2", "0:0", "n"])
    rows = list(parse_sacct(f"{BANNER}{done}\n{done}{SEPARATOR}/f\n"))
    assert [(row.state, row.folder) for row in rows] == [("CANCELLED", None), ("CANCELLED", "/f")]
    assert [foreign_text(text) for text in ("", "\n", f"{BANNER}{queue}")] == [None] * 3
    assert foreign_text(BANNER) == BANNER.strip()


@pytest.mark.parametrize(
    ("name", "folder", "command", "is_ours"),
    [
        ("ours", "/", "/copy", True),
        ("site-7", "/e/slurm/1", "/copy", True),
        ("site-7", "/", "/e/slurm/1/script", True),
        ("site-7", "/e/slurm/10", "/e/slurm/10/script", False),
        ("", "", "", False),
    ],
)
def test_a_job_is_found_by_what_a_site_leaves(name: str, folder: str, command: str, is_ours: bool) -> None:  # noqa: FBT001
    """A job is that of a submission by its folder, its script or its name: a site may change some of them."""
    fields = ["7", "RUNNING", "100", "100", "N/A", "None", folder, command, name]
    (row,) = parse_squeue(SEPARATOR.join(fields))
    assert is_of(row, name="ours", made=100.0, folder="/e/slurm/1") is is_ours
    assert is_of(row, name="ours", made=100.0) is (name == "ours")


@pytest.mark.parametrize(
    ("text", "is_over"),
    [
        (
            "slurmstepd-a: error: StepId=53.batch exceeded memory limit (196788224 > 67108864), being killed",
            True,
        ),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch. Some of it was killed", True),
        ("slurmstepd: error: *** JOB 43 ON a CANCELLED AT 2026-11-29T10:00:06 ***", False),
        ("welcome: your memory limit is 5 GB", False),
    ],
)
def test_a_kill_for_memory_is_known_by_what_slurm_prints(text: str, is_over: bool) -> None:  # noqa: FBT001
    """Slurm has no state of its own for OverMemoryKill: the job is CANCELLED, or FAILED by a signal."""
    assert (OVER_MEMORY.search(f"login noise\n{text}\n") is not None) is is_over
