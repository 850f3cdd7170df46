"""What sbatch answered: the id of the job, or why it gave none and whether to try again. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from nemorun_cli.executors.background_commands import CommandResult

# A site's wrapper may print further lines to standard output, or hide --parsable.
_ID: Final = re.compile(r"(?P<id>\d+)(?:;(?P<cluster>[\w.-]+))?")
_JOB: Final = re.compile(r"\d{1,20}(?:[_+]\d{1,10})?(?:\.\d{1,10})?", re.ASCII)
_SENTENCE: Final = re.compile(
    r"Submitted batch job (?P<id>\d+)(?: on cluster (?P<cluster>[\w.-]+))?", re.IGNORECASE
)

# Errors of Slurm's commands while it is not available. They are Slurm's own texts: a refusal may quote a name
# that a user chose, such as a partition `standby`.
_AWAY: Final = re.compile(
    r"unable to contact slurm controller|(socket|poll) timed out|timed out connecting"
    r"|connection (refused|reset)|zero bytes were transmitted|controller (is )?in standby mode"
    r"|primary not responding|could not establish a configuration source|unexpected message received"
    r"|protocol authentication error|(invalid authentication credential|authentication credential invalid)"
    r"|authentication plugin \S+ not found|auth_g_\w+: .*authentication error"
    r"|munge (en|de)code failed|if munged is up|transport endpoint|did not end within"
    r"|unable to create job record, try again|DB index is being set, try again",
    re.IGNORECASE,
)

_SUBMIT_LIMIT: Final = re.compile(r"\b(?:(?:QOS|Assoc)\w*SubmitJob\w*|MaxSubmitJobs\w*)")
_OTHER_LIMIT: Final = re.compile(r"\b(?:QOS|Assoc)[A-Z]\w*")
_POLICY: Final = "job submit limit"  # in the text for all limits of accounting; older versions name none
_FULL: Final = re.compile(r"temporarily unable to accept job|resource temporarily unavailable", re.IGNORECASE)
UNNAMED: Final = "the limit of submitted jobs"
FULL: Final = "MaxJobCount"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The id of a submitted job; `cluster` is set if it is on another cluster than the default one."""

    job_id: str
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no job, or why it is not known whether there is one.

    Attributes:
        kind: `never` for what Slurm will not accept later either; `limit` for a limit that other jobs of the
            user use up; `away` if Slurm may have accepted the job, but cannot confirm it.
        reason: Slurm's text.
        limit: with `limit`, its name in Slurm.
    """

    kind: Literal["never", "limit", "away"]
    reason: str
    limit: str = ""

    @property
    def is_own(self) -> bool:
        """Whether only jobs of this user count toward the limit."""
        return self.kind == "limit" and self.limit != FULL and "Grp" not in self.limit


def is_job_id(text: str) -> bool:
    """Whether a stored text can only be the id of a job, of a member of an array, or of a step."""
    return _JOB.fullmatch(text) is not None


def read(answer: CommandResult) -> Accepted | Refused:
    """The meaning of an answer of sbatch."""
    if answer.is_good:
        return accepted(answer.output) or Refused("away", f"sbatch printed no job id: {_line(answer)}")
    if answer.connection_failed:
        return Refused("away", answer.complaint)
    return refused(answer.complaint)


def accepted(text: str) -> Accepted | None:
    """The last job id in the output of sbatch; None without one."""
    for line in reversed(text.splitlines()):
        for form in (_ID, _SENTENCE):
            if match := form.fullmatch(line.strip()):
                return Accepted(match["id"], match["cluster"] or "")
    return None


def refused(complaint: str) -> Refused:
    """The meaning of an error of sbatch."""
    complaint = "; ".join(complaint.splitlines())
    if limit := _SUBMIT_LIMIT.search(complaint):
        return Refused("limit", complaint, limit[0])
    if _POLICY in complaint and not _OTHER_LIMIT.search(complaint):
        return Refused("limit", complaint, UNNAMED)
    if _FULL.search(complaint):
        return Refused("limit", complaint, FULL)
    return Refused("away" if is_outage(complaint) else "never", complaint)


def is_outage(complaint: str) -> bool:
    """Whether an error of one of Slurm's commands shows that Slurm is not available."""
    return _AWAY.search(complaint) is not None


def waiting(refusal: Refused) -> str:
    """Why a job waits outside of Slurm's queue, with the remedy."""
    if refusal.limit == FULL:
        return f"Slurm accepts no more jobs at present ({FULL}); it is submitted when others have ended"
    return (
        f"Slurm accepts no more of your jobs at present ({refusal.limit}); it is submitted when others have"
        " ended; a lower run.max_parallel keeps fewer in the queue"
    )


def _line(answer: CommandResult) -> str:
    return " ".join(f"{answer.output} {answer.complaint}".split())[-200:] or "nothing"
