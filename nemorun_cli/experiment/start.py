"""Starts the experiment of a document: checks it, creates it and hands it to a supervisor."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from nemorun_cli.errors import RunningError, UsageError
from nemorun_cli.executors import ask_engines
from nemorun_cli.experiment.lookup import listed
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.views import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from nemorun_cli.model.spec import Spec
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import ExperimentFiles, Home
    from nemorun_cli.supervisor.client import SupervisorHandle


IfRunning = Literal["fail", "skip", "replace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedOptions:
    """What a caller in Python changes in a spec; for the fields see `nemorun_cli.run`."""

    params: Mapping[str, Any] | Sequence[str] = ()
    sets: Sequence[str] = ()
    sweep: Mapping[str, Any] | Sequence[str] = ()
    only: Sequence[str] = ()
    options: Mapping[str, Any] | None = None

    def for_load(self) -> dict[str, Any]:
        """The arguments of `load.read` and `load.again`."""
        params = self.params
        texts = (
            [f"{name}={json.dumps(value)}" for name, value in params.items()]
            if isinstance(params, Mapping)
            else listed(params)
        )
        sweeps = (
            [f"{name}={_listed_values(values)}" for name, values in self.sweep.items()]
            if isinstance(self.sweep, Mapping)
            else listed(self.sweep)
        )
        run = [f"run.{name}={json.dumps(value)}" for name, value in (self.options or {}).items()]
        sets = [*listed(self.sets), *run]
        return {"params": texts, "sets": sets, "sweeps": sweeps, "only": listed(self.only)}


def _listed_values(values: Any) -> str:
    """The values of a swept param as in `--sweep`; a single text is taken as it is, such as `1..3`."""
    return values if isinstance(values, str) else ",".join(map(json.dumps, values))


def again(
    old: ExperimentFiles,
    changes: ChangedOptions,
    *,
    home: Home,
    key: str | None = None,
    if_running: IfRunning | None = None,
) -> tuple[ExperimentFiles, Collection[str]]:
    """Start a new experiment from the copies of an earlier one; see `Run.rerun`."""

    def read() -> Document:
        from nemorun_cli import executors  # noqa: PLC0415 - imported while the supervisor starts
        from nemorun_cli.spec import load  # noqa: PLC0415 - the same

        return load.again(old, executors=executors.known(ask=True), **changes.for_load())

    return meanwhile(read, home=home, key=key, if_running=if_running)


def meanwhile(
    read: Callable[[], Document], *, home: Home, key: str | None, if_running: IfRunning | None
) -> tuple[ExperimentFiles, Collection[str]]:
    """Launch what `read` returns, while the supervisor's process starts; see `create_and_start`."""
    from nemorun_cli.supervisor import client  # noqa: PLC0415 - only for starting

    supervisor = client.SupervisorHandle()
    try:
        return create_and_start(read(), supervisor=supervisor, home=home, key=key, if_running=if_running)
    except BaseException:
        supervisor.abandon()
        raise


def create_and_start(
    document: Document,
    *,
    supervisor: SupervisorHandle,
    home: Home,
    key: str | None = None,
    if_running: IfRunning | None = None,
) -> tuple[ExperimentFiles, Collection[str]]:
    """Create the experiment of a document and hand it to a supervisor; see `nemorun_cli.run`.

    Returns its files, and the values of its secrets. The steps are in order: each takes what the one before
    it returned.
    """
    from nemorun_cli.experiment import create  # noqa: PLC0415 - only for starting
    from nemorun_cli.spec import secret_values, secret_warnings  # noqa: PLC0415 - the same
    from nemorun_cli.storage import run_keys  # noqa: PLC0415 - the same
    from nemorun_cli.supervisor.assignment import Assignment  # noqa: PLC0415 - the same
    from nemorun_cli.system import user  # noqa: PLC0415 - the same

    key = document.key if key is None else key
    if key == "":
        raise UsageError("the key is empty", hint="is a variable of the script unset?")
    policy = if_running or ("fail" if key else None)
    if policy is not None and policy not in get_args(IfRunning):
        raise UsageError(f"if_running={policy!r}: must be fail, skip or replace")
    identity = create.tentative(document, home)
    spec = create.resolve(document, identity)
    secrets = secret_values.resolve(spec, document)
    secret_warnings.refuse_in_params(document, secrets)
    secret_warnings.refuse_in_key(key, secrets)
    ask_engines(spec)
    with run_keys.hold(home, key=key, name=document.name) if policy else contextlib.nullcontext() as holding:
        running = list(_running(holding.ids(), home)) if holding else []
        if running and policy == "fail":
            existing = running[-1].id
            raise RunningError(f"{existing} is running", hint=f"see it with: exp status {existing}")
        if running and policy == "skip":
            supervisor.abandon()
            return running[-1], ()
        if running:
            _replace(running, document, spec, home)
        files, spec = create.create(
            document, spec, identity, home=home, by=user.author(), key=key, secrets=secrets.values()
        )
        if spec.server is not None:
            from nemorun_cli.storage import announcement  # noqa: PLC0415 - only for specs with a server

            announcement.announce(files, spec.server, starts_sender=False)  # the supervisor does
        if holding:
            holding.add(files.id)
        supervisor.go(
            Assignment(
                directory=files.directory,
                home=home.directory,
                secrets=secrets,
                sources=secret_values.sources(spec, secrets),
            )
        )
    return files, secrets.values()


def _running(ids: Iterable[str], home: Home) -> Iterator[ExperimentFiles]:
    for experiment_id in ids:
        files = home.experiment(experiment_id)
        if files is None:
            continue
        if observe.look(files, home=home.directory).status is ExperimentStatus.RUNNING:
            yield files


def _replace(running: Iterable[ExperimentFiles], document: Document, spec: Spec, home: Home) -> None:
    """Cancel running experiments, once it is certain that the new one can be created."""
    if any(task.packager for task in spec.possible_tasks):
        from nemorun_cli.experiment import ship  # noqa: PLC0415 - only for specs with packagers

        ship.look(spec, document, home)  # reports problems before anything is cancelled
    from nemorun_cli.experiment.cancel import cancel  # noqa: PLC0415 - only to replace one
    from nemorun_cli.views import follow  # noqa: PLC0415 - the same

    for files in running:
        cancel(files, home, (), signal=None, grace=None, abandon=False, others=False)
        follow.wait(files, home)  # for its handlers, which may clean up what the new experiment needs
