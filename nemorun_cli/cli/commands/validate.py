"""`exp validate`: check a spec without running anything."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import terminal
from nemorun_cli.cli.options import Json, Params, ProgramArguments, Quiet, Sets, SpecPath, Sweeps
from nemorun_cli.errors import EngineError
from nemorun_cli.storage.paths import Home
from nemorun_cli.views.reports import search_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.executors import Diagnosis
    from nemorun_cli.model.problems import Problem
    from nemorun_cli.model.spec import Spec

VALIDATE_FORMAT: Final = "exp.validate/1"


def command(
    spec: SpecPath,
    arguments: ProgramArguments = None,
    *,
    params: Params = None,
    sets: Sets = None,
    sweeps: Sweeps = None,
    engines: Annotated[bool, typer.Option("--engines", help="Also check engines and packagers.")] = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Check a spec and report all its problems.

    Examples:
      exp validate train.yaml
      exp validate train.yaml -p lr=0.1     with other params
      exp validate train.yaml --engines     also check that engines respond
    """
    from nemorun_cli import executors  # noqa: PLC0415 - the same
    from nemorun_cli.experiment import create, server_notes  # noqa: PLC0415 - not for the help
    from nemorun_cli.spec import load, secret_warnings  # noqa: PLC0415 - the same
    from nemorun_cli.views.reports import dry_run  # noqa: PLC0415 - the same

    document = load.read(
        spec,
        arguments=arguments or (),
        params=params or (),
        sets=sets or (),
        sweeps=sweeps or (),
        executors=executors.known(ask=engines),
    )
    home = Home.from_environment()
    resolved = create.located(document, create.tentative(document, home))
    if engines and any(task.packager for task in resolved.tasks):
        from nemorun_cli.experiment import ship  # noqa: PLC0415 - only for specs that ship code

        ship.look(resolved, document, home)
    diagnoses = [*executors.ask(resolved), *executors.missing_files(resolved)] if engines else []
    places = dry_run.places(resolved, document.origins)
    warnings = (
        *document.warnings,
        *secret_warnings.not_inherited(resolved, document),
        *server_notes.warnings(resolved, document),
    )
    terminal.warn_of(warnings)
    is_ok = all(diagnosis.is_ok for diagnosis in diagnoses)
    if is_json:
        terminal.write_json(_document(spec, resolved, diagnoses, places, warnings))
    elif quiet:
        terminal.write("".join(f"{task.id}\n" for task in resolved.tasks))
    else:
        count = len(warnings)
        noted = f", {count} warning{'' if count == 1 else 's'}" if count else ""
        summary = f"{spec}: {resolved.name}, {len(resolved.tasks)} task(s), no problems{noted}"
        searches = search_summary.lines(search_summary.entries(resolved.groups))
        terminal.write_lines([summary, *dry_run.place_lines(places), *searches])
        for diagnosis in diagnoses:
            _report(diagnosis)
    given = f" -- {shlex.join(arguments)}" if arguments else ""
    terminal.suggest(
        f"exp run {spec}{given} · exp run {spec} --dry-run{given} · exp graph {spec}{given}",
        is_wanted=is_ok and not (quiet or is_json),
    )
    return 0 if is_ok else EngineError.exit_code


def _document(
    path: str,
    spec: Spec,
    diagnoses: list[Diagnosis],
    places: list[dict[str, Any]],
    warnings: Sequence[Problem],
) -> dict[str, Any]:
    """The document `exp.validate/1`; a spec with problems is an `exp.error/1` instead."""
    return {
        "schema": VALIDATE_FORMAT,
        "file": path,
        "name": spec.name,
        "tasks": [task.id for task in spec.tasks],
        "searches": search_summary.entries(spec.groups),
        "executors": places,
        "warnings": [warning.to_json() for warning in warnings],
        "engines": [
            {
                "engine": diagnosis.engine,
                "is_well": diagnosis.is_ok,
                "message": diagnosis.message,
                "remedy": diagnosis.remedy,
            }
            for diagnosis in diagnoses
        ],
    }


def _report(diagnosis: Diagnosis) -> None:
    state = "ok" if diagnosis.is_ok else "NOT OK"
    lines = [f"{diagnosis.engine}: {state}: {diagnosis.message}"]
    terminal.write_lines([*lines, f"  {diagnosis.remedy}"] if diagnosis.remedy else lines)
