"""Which files of an experiment are copied to a server."""

from __future__ import annotations

import pytest

from nemorun_cli.replication import shapes
from nemorun_cli.replication.shapes import FileKind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("ledger.jsonl", FileKind.GROWING),
        ("resolved.json", FileKind.WHOLE),
        ("revisions/2/resolved.json", FileKind.WHOLE),
        ("labelled", FileKind.WHOLE),
        ("tasks/train/attempt-1/exit.json", FileKind.WHOLE),
        ("tasks/sweep/lr=0.1/attempt-12/records", FileKind.GROWING),
        ("tasks/a/attempt-1/log", FileKind.GROWING),
        ("tasks/a/attempt-1/backend-output", FileKind.GROWING),
        ("code/0123456789abcdef.files", None),
        ("code/0123456789abcdef/src/train.py", FileKind.GROWING),
        ("scripts/0123456789ab/run.sh", FileKind.GROWING),
    ],
)
def test_each_file_of_an_experiment_has_its_kind(path: str, kind: FileKind | None) -> None:
    """The kind of a file decides how it is copied."""
    assert shapes.of_experiment(path) is kind


@pytest.mark.parametrize(
    "path",
    [
        *("plan.json", "secrets", "script", "call.json", "lock", "outputs", "running", "artifacts/x"),
        *("attempt-0/log", "../log", "./log", "log\n", "lo\0g", "log/x"),
    ],
)
def test_what_may_hold_secrets_is_in_no_setting_copied(path: str) -> None:
    """Plans, scripts, arguments, raw outputs and locks of an attempt are never copied."""
    assert shapes.of_experiment(f"tasks/a/attempt-1/{path}") is None


@pytest.mark.parametrize(
    "path",
    [
        *("supervisor.lock", "supervisor.log", "ledger.lock", "mark", "wake", "shim", "partial.py"),
        *(
            "slurm/1/job",
            "plugins/0/log",
            "shared/x",
            "ledger.jsonl.new",
            "/ledger.jsonl",
            "",
            "code/../mark",
        ),
        *("revisions/../mark", "revisions/2/mark", "tasks/a/b/c/attempt-1/log"),
    ],
)
def test_other_files_of_an_experiment_stay_here(path: str) -> None:
    """What is not on the list is not copied."""
    assert shapes.of_experiment(path) is None


def test_a_changed_spec_and_a_completed_claim_replace_what_the_server_has() -> None:
    """A resume may change the spec, and a shim writes its claim in two steps; a revision never changes."""
    assert shapes.may_replace_in_experiment("resolved.json")
    assert shapes.may_replace_in_experiment("tasks/g/m/attempt-1/claim")
    assert not shapes.may_replace_in_experiment("revisions/1/resolved.json")
    assert not shapes.may_replace_in_experiment("tasks/a/attempt-1/log")
    assert shapes.may_replace_in_record("openings/1.verdict.json")
    assert not shapes.may_replace_in_record("environment/1.diff")
