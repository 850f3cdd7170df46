"""What a supervisor gets on its pipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from nemorun_cli.supervisor.assignment import Assignment, ResumeRequest

START = Assignment(directory=Path("/e/e_1"), home=Path("/e"), secrets={"TOKEN": 'a"b\n'})
RESUME = ResumeRequest(
    by="somebody",
    below=("train", "ä"),
    host_is_gone=True,
    changes={"train": "command"},
    staged=Path("/e/e_1/revisions/.new-1"),
    revision={"revision": 2, "changed": ["train"]},
)


@pytest.mark.parametrize("resume", [None, ResumeRequest(by="somebody"), RESUME])
def test_an_assignment_arrives_as_it_was_sent(resume: ResumeRequest | None) -> None:
    """What one process encodes another one decodes to an equal value."""
    sent = Assignment(directory=START.directory, home=START.home, secrets=START.secrets, resume=resume)
    assert Assignment.decode(sent.encode()) == sent
