"""What an experiment would run: the document `exp.plan/1` of a spec; nothing is created."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nemorun_cli.experiment import create, server_notes
from nemorun_cli.spec import secret_warnings
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.views.reports import dry_run

if TYPE_CHECKING:
    from nemorun_cli.json_documents import PlanDocument
    from nemorun_cli.model.problems import Problem
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import Home


def plans(document: Document, home: Home) -> tuple[PlanDocument, tuple[Problem, ...]]:
    """The plans of the tasks, and the warnings about secrets and the server; packagers are asked.

    Raises:
        SpecError: the spec has problems, or a packager cannot ship its content.
        UsageError: a plugin raised.
    """
    identity = create.tentative(document, home)
    spec = create.resolve(document, identity)
    if any(task.packager for task in spec.possible_tasks):
        from nemorun_cli.experiment import ship  # noqa: PLC0415 - only for specs that ship code

        shipments = ship.look(spec, document, home)
        spec = replace(spec, packages=shipments.packages(ExperimentFiles(Path(identity.directory))))
    about = (*secret_warnings.not_inherited(spec, document), *server_notes.warnings(spec, document))
    content = dry_run.document(
        spec,
        identity=identity,
        home=home,
        origins=document.origins,
        warnings=(*document.warnings, *about),
    )
    return content, about
