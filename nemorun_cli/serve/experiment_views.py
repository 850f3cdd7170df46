"""`GET /v1/views/experiments…`: experiments as documents of the commands, and the logs of attempts.

Everything is read from files: no backend is asked, no executor is made, nothing is written.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.experiment import difference, documents
from nemorun_cli.serve import attempt_logs, experiment_timeline, log_outline, log_search
from nemorun_cli.serve.answers import QueryParameters, json_answer, off_loop, slowly, text_answer
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.experiment_access import (
    Found,
    experiment_at,
    experiments_to_compare,
    place_of,
    reading,
)
from nemorun_cli.serve.heard import reports_of
from nemorun_cli.serve.index.experiment_index import ExperimentPlace
from nemorun_cli.serve.index.index import index_of
from nemorun_cli.serve.index.pages import DEFAULT, Conditions, PagedTable
from nemorun_cli.serve.index.record_index import SEPARATOR
from nemorun_cli.serve.record_access import judge_of
from nemorun_cli.serve.record_documents import files_of
from nemorun_cli.serve.refusals import refusal
from nemorun_cli.storage import events as kinds
from nemorun_cli.storage import ledger
from nemorun_cli.system.files import RefusedFileError
from nemorun_cli.views import known_secrets, listing, timeline
from nemorun_cli.views.reports import task_graph, why_report

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from starlette.requests import Request
    from starlette.responses import Response

    from nemorun_cli.serve.attempt_logs import AttemptLog
    from nemorun_cli.serve.endpoints import Handler
    from nemorun_cli.serve.index.index import Index
    from nemorun_cli.serve.site import Site
    from nemorun_cli.views.snapshot import Snapshot

    _MakeOfLog = Callable[[Request, Index, "LogRequest"], Response]
    _Make = Callable[[Request, Index, Found, QueryParameters], dict[str, Any]]

EXPERIMENTS: Final = "/v1/views/experiments"
EXPERIMENT: Final = EXPERIMENTS + "/{owner}/{home}/{id}"
EVENTS_FORMAT: Final = "exp.event-list/1"
SPEC_FORMAT: Final = "exp.spec/1"
MOST_EVENTS: Final = 10_000  # of one answer
LIST: Final = PagedTable(
    table="experiments",
    orders={
        "created": "created",
        "ended": "ended",
        "status": "status",
        "name": "name",
        "owner": "owner",
        "executor": "executors",
        "duration": "active",
    },
    identity=("id", "owner", "home"),
)


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoints; all need the scope `read`."""
    del site
    of_experiment: dict[str, tuple[_Make, tuple[str, ...]]] = {
        "": (_status, ()),
        "/status": (_status, ()),
        "/graph": (_graph, ()),
        "/show": (_show, ()),
        "/events": (_events, ("after", "limit")),
        "/why": (_why, ("task",)),
        "/diff": (_diff, ("with",)),
        "/spec": (_spec, ("revision",)),
        "/timeline": (_timeline, ()),
        "/search": (_search, ("importances",)),
        "/files": (_files, ("task", "name")),
    }
    return [
        Endpoint(EXPERIMENTS, ("GET",), _experiments, needs=Scope.READ),
        *(
            Endpoint(EXPERIMENT + path, ("GET",), _of_experiment(make, known), needs=Scope.READ)
            for path, (make, known) in of_experiment.items()
        ),
        Endpoint(EXPERIMENT + "/log", ("GET", "HEAD"), _of_log(_log, ("signature",)), needs=Scope.READ),
        *(
            Endpoint(f"{EXPERIMENT}/log/{name}", ("GET",), _of_log(make, known), needs=Scope.READ)
            for name, make, known in (
                ("outline", _log_outline, ()),
                ("find", _log_find, ("text", "case", "around", "limit")),
            )
        ),
    ]


def _of_experiment(make: _Make, known: tuple[str, ...]) -> Handler:
    """The handler of a document about one experiment."""

    async def handle(request: Request) -> Response:
        given = QueryParameters(request, known)

        def work() -> Response:
            index = index_of(request)
            found = experiment_at(request, index, place_of(request))
            with reading(found):
                return _not_here(index, found) or json_answer(request, make(request, index, found, given))

        return await slowly(request, work)

    handle.__doc__ = make.__doc__
    return handle


def _not_here(index: Index, found: Found) -> Response | None:
    """The answer for an experiment of which a collector has only a part; None if it has enough."""
    if index.site.root is None or (found.files.resolved.exists() and found.files.ledger.stat().st_size):
        return None
    message = f"the spec and the ledger of {found.files.id} are not here yet"
    return refusal(409, "not_here_yet", message, hint="its sender delivers them: exp sync --status")


async def _experiments(request: Request) -> Response:
    """A page of the experiments, `exp.list/1`."""
    given = QueryParameters(
        request,
        ("name", "status", "tag", "owner", "home", "executor", "text", "since", "sort", "limit", "cursor"),
    )
    judge = judge_of(request)
    chosen = Conditions()
    statuses = listing.statuses(given.all("status"), option="status")
    for column, values in (("owner", given.all("owner")), ("home", given.all("home"))):
        if values:
            chosen.add(f"{column} IN ({', '.join('?' * len(values))})", *values)
    if names := given.few("name"):
        chosen.add(" OR ".join(["matches(name, ?)"] * len(names)), *names)
    for tag in given.few("tag"):
        chosen.add("instr(tags, ?)", f"{SEPARATOR}{tag}{SEPARATOR}")
    if executors := given.few("executor"):
        marks = [f"{SEPARATOR}{executor}{SEPARATOR}" for executor in executors]
        chosen.add(" OR ".join(["instr(executors, ?)"] * len(marks)), *marks)
    if text := given.text("text"):
        chosen.add("instr(searched, ?)", text.lower())
    if since := given.text("since"):
        chosen.add("created >= ?", listing.since(since, option="since"))
    if judge is not None:
        chosen.add("is_shown(owner || '/' || home || '/' || id)")
    limit = given.integer("limit", DEFAULT, least=1) or DEFAULT

    def ask(index: Index) -> bytes:
        page = LIST.page(
            index.cache,
            chosen,
            sort=given.text("sort") or "-created",
            statuses=statuses,
            limit=limit,
            cursor=given.text("cursor"),
            judge=judge,
        )
        tail = json.dumps(page.to_json())[1:]
        listed = ",".join(_with_heard(request, entry) for entry in page.entries)
        return f'{{"schema":"{listing.LIST_FORMAT}","experiments":[{listed}],{tail}'.encode("ascii")

    return text_answer(request, await off_loop(lambda: index_of(request).fresh(ask)))


def _with_heard(request: Request, entry: str) -> str:
    """An entry with the age of the last report on it, if it runs on another machine."""
    heard = None
    if request.app.state.site.root is not None and '"status": "RUNNING"' in entry:
        document = json.loads(entry)
        heard = _heard(request, ExperimentPlace(document["owner"], document["home"], document["id"]))
    return f'{entry[:-1]},"heard":{json.dumps(heard)}}}'


def _heard(request: Request, place: ExperimentPlace) -> dict[str, Any] | None:
    report = reports_of(request).of_experiment(*place)
    return None if report is None else report.to_json(time.time())


def _look(index: Index, found: Found) -> Snapshot:
    return index.experiments.look(found.home, found.files)


def _secrets(index: Index, snapshot: Snapshot) -> Collection[str]:
    """The values that are masked; those of another machine's experiment are not known here."""
    if index.site.root is not None:
        return ()
    return known_secrets.of_experiment(snapshot.files, snapshot.spec, snapshot.history).values()


def _status(request: Request, index: Index, found: Found, given: QueryParameters) -> dict[str, Any]:
    """Its status, `exp.status/1`."""
    del given
    snapshot = _look(index, found)
    is_running = index.site.root is not None and not snapshot.is_over
    heard = _heard(request, found.place) if is_running else None
    return {**snapshot.to_json(), "owner": found.place.owner, "home": found.place.home, "heard": heard}


def _graph(request: Request, index: Index, found: Found, given: QueryParameters) -> dict[str, Any]:
    """Its tasks and their dependencies, `exp.graph/1`."""
    del request, given
    snapshot = _look(index, found)
    tasks = task_graph.of(snapshot.spec, snapshot.history.tasks, snapshot.history.external)
    return documents.graph(tasks, snapshot)


def _show(request: Request, index: Index, found: Found, given: QueryParameters) -> dict[str, Any]:
    """All its details, `exp.show/1`."""
    del request, given
    events, _ = ledger.read_settled(found.files.ledger)
    snapshot = _look(index, found)
    past, steps = timeline.attempts(snapshot, events), timeline.steps(events)
    return {**documents.show(snapshot, past, steps, computes=False)}


def _events(request: Request, index: Index, found: Found, given: QueryParameters) -> dict[str, Any]:
    """The events after the first `after` ones."""
    del request, index
    events, _ = ledger.read_settled(found.files.ledger)
    after = given.integer("after", 0) or 0
    end = after + min(given.integer("limit", MOST_EVENTS, least=1) or MOST_EVENTS, MOST_EVENTS)
    return {
        "schema": EVENTS_FORMAT,
        "id": found.files.id,
        "events": events[after:end],
        "summaries": [kinds.describe(event) for event in events[after:end]],
        "next": end if end < len(events) else None,
        "total": len(events),
    }


def _why(request: Request, index: Index, found: Found, given: QueryParameters) -> dict[str, Any]:
    """Why tasks failed or wait, `exp.why/1`."""
    del request
    events, _ = ledger.read_settled(found.files.ledger)
    snapshot = _look(index, found)
    tasks = given.all("task")
    names = snapshot.match_tasks(tasks) if tasks else why_report.notable(snapshot)
    return {**why_report.document(snapshot, names, events, secrets=_secrets(index, snapshot))}


def _diff(request: Request, index: Index, found: Found, given: QueryParameters) -> dict[str, Any]:
    """What differs from a later experiment, `exp.diff/1`."""
    other = given.text("with")
    if other is None:
        raise UsageError("with=ID or with=OWNER/HOME/ID: the later experiment is missing")
    named = other.split("/")
    place = ExperimentPlace(*named) if len(named) == 3 else found.place._replace(id=other)  # noqa: PLR2004 - owner, home, id
    later = experiment_at(request, index, place)
    is_local = index.site.root is None  # the folders of code that another machine's specs name are not here
    return difference.between(_look(index, found), _look(index, later), with_code=is_local).to_json()


def _spec(request: Request, index: Index, found: Found, given: QueryParameters) -> dict[str, Any]:
    """The text of the spec as it was given; None where it is not shipped."""
    del request
    snapshot = _look(index, found)
    latest = snapshot.spec.revision
    number = given.integer("revision", latest)
    files = found.files if number == latest else found.files.revision(number or 0)
    text, missing = None, None
    try:
        text = files.read(files.spec).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError, RefusedFileError):
        missing = attempt_logs.missing(index, found.files, "spec")
    return {
        "schema": SPEC_FORMAT,
        "id": found.files.id,
        "revision": number,
        "latest": latest,
        "text": text,
        "missing": missing,
        "resolved": snapshot.spec.to_json() if number == latest else None,
    }


def _timeline(request: Request, index: Index, found: Found, given: QueryParameters) -> dict[str, Any]:
    """When its attempts waited and ran, `exp.timeline/1`."""
    del request, given
    events, _ = ledger.read_settled(found.files.ledger)
    snapshot = _look(index, found)
    written = index.fresh(lambda fresh: fresh.records.of_experiment(found.files.id))
    own = events[0].get("prefix") if events else None
    is_local, above = index.site.root is None, f"{found.place.owner}/"
    return experiment_timeline.document(
        snapshot,
        events,
        records=sum(prefix != own and (is_local or prefix.startswith(above)) for _, prefix in written),
        secrets=_secrets(index, snapshot),
    )


def _search(request: Request, index: Index, found: Found, given: QueryParameters) -> dict[str, Any]:
    """Its searches with all of their trials, `exp.search/1`; importances, which take a second, on request."""
    del request
    return documents.search(_look(index, found), computes=given.flag("importances"))


def _files(request: Request, index: Index, found: Found, given: QueryParameters) -> dict[str, Any]:
    """The files that its tasks saved, `exp.files/1`."""
    sources = experiments_to_compare(request, index, ["/".join(found.place)], task=given.text("task"))
    records = [record for source in sources for run in source.runs(report=lambda _: None) for record in run]
    return files_of(records, name=given.text("name"))


def _of_log(make: _MakeOfLog, known: tuple[str, ...]) -> Handler:
    """The handler of an answer about the log of one attempt."""

    async def handle(request: Request) -> Response:
        given = QueryParameters(request, ("task", "attempt", "stream", *known))

        def work() -> Response:
            index = index_of(request)
            found = experiment_at(request, index, place_of(request))
            if (answer := _not_here(index, found)) is not None:
                return answer
            with reading(found):
                snapshot = _look(index, found)
            task = given.text("task")
            if task is None or task not in snapshot.history.tasks:
                raise NotFoundError(f"{found.files.id} has no task {task!r}")
            attempt, stream = given.integer("attempt", least=1), given.text("stream") or "log"
            log = attempt_logs.of_attempt(snapshot, task, attempt=attempt, stream=stream)
            try:
                return make(request, index, LogRequest(snapshot, log, given))
            except attempt_logs.NOT_THERE:
                return attempt_logs.not_there(index, snapshot, log)

        return await slowly(request, work)

    handle.__doc__ = make.__doc__
    return handle


@dataclass(frozen=True, slots=True)
class LogRequest:
    """What is asked about a log."""

    snapshot: Snapshot
    log: AttemptLog
    given: QueryParameters


def _log(request: Request, index: Index, asked: LogRequest) -> Response:
    """The log of an attempt, whole or a range; known secrets are masked in place."""
    secrets = _secrets(index, asked.snapshot)
    return attempt_logs.answer(request, index, asked.snapshot, asked.log, secrets=secrets)


def _log_outline(request: Request, index: Index, asked: LogRequest) -> Response:
    """The lines of a log, the one that most likely explains a failure, and how the attempt ended."""
    snapshot, log = asked.snapshot, asked.log
    events, _ = ledger.read_settled(snapshot.files.ledger)
    attempts = timeline.attempts(snapshot, events)[log.task]
    document = log_outline.document(
        log,
        log_outline.line_index_of(request),
        secrets=_secrets(index, snapshot),
        attempt=next((each for each in attempts if each.attempt == log.attempt), None),
        sizes=log_outline.sizes(log),
    )
    return json_answer(request, document)


def _log_find(request: Request, index: Index, asked: LogRequest) -> Response:
    """How often a text occurs in a log, and in which lines."""
    given = asked.given
    document = log_search.document(
        asked.log,
        log_search.Needle(given.text("text") or "", has_case=given.flag("case")),
        secrets=_secrets(index, asked.snapshot),
        around=given.integer("around", 0) or 0,
        limit=min(given.integer("limit", log_search.LISTED, least=1) or 1, log_search.MOST_LISTED),
    )
    return json_answer(request, document)
