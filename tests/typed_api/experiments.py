"""What type checkers know of experiments from Python; mypy reads this file, and nothing runs it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import nemorun_cli
from nemorun_cli import ExpError, Run, Snapshot, SpecError
from nemorun_cli.errors import (
    AmbiguousError,
    EngineError,
    LedgerError,
    NotFoundError,
    NotOverError,
    RunningError,
    UsageError,
)
from nemorun_cli.json_documents import MetricsDocument, ParamsDocument, StatusDocument, WhyDocument
from nemorun_cli.model.problems import Problem
from nemorun_cli.model.status import ExperimentStatus


def an_experiment_is_started_and_found() -> None:
    """Whatever starts or finds one gives a `Run`, or a list of them."""
    assert_type(nemorun_cli.run("spec.yaml"), Run)
    assert_type(nemorun_cli.run(Path("program.py"), arguments=["--fast"], only=["train"]), Run)
    run = nemorun_cli.run(
        {"name": "x", "tasks": {}}, params={"lr": 0.1}, options={"max_parallel": 2}, if_running="skip"
    )
    assert_type(run.rerun(params=["lr=0.2"], sets=["tasks.a.timeout=1h"]), Run)
    assert_type(nemorun_cli.find(), Run)
    assert_type(nemorun_cli.runs("digits*", status=["FAILED", "INTERRUPTED"], since="2h", limit=3), list[Run])


def a_run_is_organized(run: Run) -> None:
    """Tags are texts, notes have their author, and what was removed comes back."""
    assert_type(run.tag(add="best", remove=["candidate"]), list[str])
    assert_type(run.tags, list[str])
    assert_type(run.notes[0].text, str)
    assert_type(run.remove(records=True).items[0].path, str)
    assert_type(nemorun_cli.restore(run.id).time, str)
    record = nemorun_cli.find_record("alice/vision/resnet", dash_root=Path(".dash"))
    assert_type(record.tag(add=["best"]), list[str])
    assert_type(record.notes[0].by, str)
    assert_type(nemorun_cli.close_record(record, "cancelled").status, ExperimentStatus)
    assert_type(nemorun_cli.remove_record(record).items[0].prefix, str | None)


def a_run_is_looked_at(run: Run) -> None:
    """Its state is a snapshot, its folder and logs are paths."""
    assert_type(run.id, str)
    assert_type(run.directory, Path)
    assert_type(run.logs("train", attempt=2), Path)
    assert_type(run.wait(timeout=1.5), Snapshot)
    assert_type(run.cancel(["train"], signal="INT", grace=2), Snapshot)
    assert_type(run.resume(below=["train"]), bool)
    snapshot = run.status()
    assert_type(snapshot, Snapshot)
    assert_type(snapshot.status, ExperimentStatus)
    assert_type(snapshot.exit_code, int)
    assert_type(snapshot.is_over, bool)
    assert_type(snapshot.match_tasks(["train*"]), list[str])


def documents_are_mappings(run: Run) -> None:
    """The documents of the commands are indexed by their fields, and have no others."""
    assert_type(run.why("train"), WhyDocument)
    assert_type(run.metrics(keys=["loss"]), MetricsDocument)
    assert_type(run.params(), ParamsDocument)
    assert_type(run.status().to_json(), StatusDocument)
    assert_type(run.status().to_json()["name"], str)
    run.status().to_json()["names_"]  # type: ignore[typeddict-item]


def errors_are_one_family(error: ExpError, problems: SpecError) -> None:
    """Each error has an exit code, a message and perhaps a hint."""
    assert_type(error.exit_code, int)
    assert_type(error.message, str)
    assert_type(error.hint, str | None)
    assert_type(problems.problems, tuple[Problem, ...])
    family: list[type[ExpError]] = [AmbiguousError, EngineError, LedgerError, NotFoundError, NotOverError]
    family += [RunningError, UsageError]


def wrong_programs_are_refused(run: Run) -> None:
    """Each line is an error for mypy, which reports a comment that is not needed."""
    nemorun_cli.run("spec.yaml", ["lr=1"])  # type: ignore[call-arg]  # past the spec, arguments are named
    nemorun_cli.run("spec.yaml", if_running="wait")  # type: ignore[arg-type]
    nemorun_cli.run(["spec.yaml"])  # type: ignore[arg-type]
    nemorun_cli.find(1)  # type: ignore[arg-type]
    run.wait(5)  # type: ignore[call-arg]
    run.cancel(grace="2s")  # type: ignore[arg-type]  # seconds
    run.id = "x"  # type: ignore[misc]
    run.state  # type: ignore[attr-defined]  # noqa: B018 - it is called status
