"""`GET /v1/views/records…` and `/v1/views/compare`: documents of the commands, curves, contents."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.experiment.records import compare, conditions, documents, grouping, record_documents, targets
from nemorun_cli.model.status import ExperimentStatus, status_named
from nemorun_cli.serve import forged_content
from nemorun_cli.serve import record_documents as views
from nemorun_cli.serve.answers import QueryParameters, has_already, json_answer, off_loop, slowly, text_answer
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.experiment_access import experiments_to_compare
from nemorun_cli.serve.file_answers import file_headers, ranged
from nemorun_cli.serve.heard import reports_of
from nemorun_cli.serve.index import curves
from nemorun_cli.serve.index.curves import Window
from nemorun_cli.serve.index.index import index_of
from nemorun_cli.serve.index.pages import DEFAULT, Conditions, PagedTable
from nemorun_cli.serve.index.record_index import UNREADABLE, root_id
from nemorun_cli.serve.record_access import (
    IndexedRecords,
    judge_of,
    records_at,
    whole_record,
)
from nemorun_cli.serve.record_access import conditions as record_conditions
from nemorun_cli.serve.refusals import refusal
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.row_series import ALL
from nemorun_cli.views import listing

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from nemorun_cli.experiment.records.compare import RunSource
    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.serve.endpoints import Handler
    from nemorun_cli.serve.index.index import Index
    from nemorun_cli.serve.site import Site
    from nemorun_cli.tracking.store.row_series import Attempts

    _Make = Callable[[Request, Index, TargetRecord, QueryParameters], dict[str, Any]]

RECORDS: Final = "/v1/views/records"
RECORD: Final = RECORDS + "/{prefix:path}/.record"
LIST: Final = PagedTable(
    table="records",
    orders={
        "prefix": "prefix",
        "opened": "opened",
        "ended": "ended",
        "status": "status",
        "owner": "owner",
    },
    identity=("prefix", "root"),
)
MOST_POINTS: Final = 100_000
MOST_LINES: Final = 100_000
LINES: Final = 1000
MOST_UNREADABLE: Final = 100  # that a page of a list names
_CHECKSUM: Final = re.compile(r"[0-9a-f]{64}")


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoints; all need the scope `read`."""
    del site
    of_record = {
        "": (_record, ()),
        "/params": (_params, ("attempts",)),
        "/metrics": (_metrics, ("key", "last", "attempts")),
        "/logs": (_logs, ("level", "contains", "last")),
        "/tracks": (_tracks, ("topic", "last")),
        "/files": (_files, ("name", "versions")),
        "/environment": (_environment, ()),
        "/openings": (_openings, ()),
        "/curve": (_curve, ("keys", "key", "from", "to", "points", "x", "attempts")),
    }
    return [
        Endpoint(RECORDS, ("GET",), _records, needs=Scope.READ),
        Endpoint("/v1/views/compare", ("GET",), _compare, needs=Scope.READ),
        *(
            Endpoint(RECORD + path, ("GET",), _of_record(make, known), needs=Scope.READ)
            for path, (make, known) in of_record.items()
        ),
        Endpoint(RECORD + "/contents/{checksum}", ("GET", "HEAD"), _content, needs=Scope.READ),
        Endpoint(RECORD + "/contents/{checksum}/link", ("POST",), _link, needs=Scope.READ),
    ]


def _of_record(make: _Make, known: tuple[str, ...]) -> Handler:
    """The handler of a document about one record."""

    async def handle(request: Request) -> Response:
        given = QueryParameters(request, (*known, "root"))

        def work() -> Response:
            index = index_of(request)
            chosen = whole_record(request, index, given.text("root"))
            with forged_content.reading(chosen.record.prefix):
                return json_answer(request, make(request, index, chosen, given))

        return await slowly(request, work)

    handle.__doc__ = make.__doc__
    return handle


async def _records(request: Request) -> Response:
    """A page of the records, `exp.records/1`."""
    given = QueryParameters(
        request,
        (
            "prefix",
            "status",
            "tag",
            "owner",
            "experiment",
            "text",
            "since",
            "sort",
            "limit",
            "cursor",
            "root",
        ),
    )
    earliest = given.text("since")
    since = None if earliest is None else listing.since(earliest, option="since")
    statuses = _statuses(given.all("status"))
    judge = judge_of(request)

    def ask(index: Index) -> bytes:
        chosen = record_conditions(
            index,
            judge,
            prefix=given.text("prefix"),
            tags=given.few("tag"),
            owners=given.all("owner"),
            experiments=given.few("experiment"),
            since=since,
            text=given.text("text"),
            root=given.text("root"),
        )
        unreadable = Conditions([*chosen.texts, "status = ?"], [*chosen.values, UNREADABLE])
        chosen.add("status != ?", UNREADABLE)
        page = LIST.page(
            index.cache,
            chosen,
            sort=given.text("sort") or "-opened",
            statuses=statuses,
            limit=given.integer("limit", DEFAULT, least=1) or DEFAULT,
            cursor=given.text("cursor"),
            judge=judge,
        )
        query = f"SELECT entry FROM records {unreadable.where} ORDER BY prefix, root LIMIT ?"  # noqa: S608 - only texts of this package
        wanted = 0 if statuses else MOST_UNREADABLE
        problems = index.cache.read(query, [*unreadable.values, wanted], judge=judge)
        folders = views.folders(index, chosen, given.text("prefix"), judge)
        reports = reports_of(request)
        listed = ",".join(views.heard_entry(entry, reports) for entry in page.entries)
        unread = ",".join(entry for (entry,) in problems)
        head = dump({"schema": record_documents.RECORDS_FORMAT})[:-1]
        tail = json.dumps({**page.to_json(), "folders": folders})[1:]
        return f'{head},"records":[{listed}],"unreadable":[{unread}],{tail}'.encode("ascii")

    body = await off_loop(lambda: index_of(request).fresh(ask))
    return text_answer(request, body)


def _statuses(words: list[str]) -> list[str]:
    chosen = [str(status_named(word) or word.upper()) for word in words]
    if unknown := set(chosen).difference(map(str, ExperimentStatus)):
        raise UsageError(f"status={min(unknown)}: unknown status")
    return chosen


def _attempts(given: QueryParameters) -> Attempts:
    text = given.text("attempts")
    if text is None or text == ALL:
        return None if text is None else ALL
    return given.integer("attempts", least=1)


def _record(request: Request, index: Index, chosen: TargetRecord, given: QueryParameters) -> dict[str, Any]:
    """A record: its entry, series, tracks and size."""
    del given
    elsewhere = records_at(index, chosen.record.prefix, but=chosen.record.root)
    return {**views.record(chosen, reports_of(request)), **views.amounts(index, chosen, elsewhere)}


def _params(request: Request, index: Index, chosen: TargetRecord, given: QueryParameters) -> dict[str, Any]:
    """Its params, `exp.params/1`."""
    del request, index
    attempts = _attempts(given)
    documents.require_attempt([chosen], attempts)
    return {**documents.params(targets.of_attempts([chosen], attempts))}


def _metrics(request: Request, index: Index, chosen: TargetRecord, given: QueryParameters) -> dict[str, Any]:
    """Its metrics, `exp.metrics/1`; without `last` the statistics alone."""
    del request
    last = 0 if given.text("last") is None else None if given.text("last") == ALL else given.integer("last")
    return views.metrics(index, chosen, keys=given.all("key"), last=last, attempts=_attempts(given))


def _logs(request: Request, index: Index, chosen: TargetRecord, given: QueryParameters) -> dict[str, Any]:
    """The last lines of its log."""
    del request, index
    return views.log(
        chosen,
        level=given.text("level"),
        contains=given.text("contains"),
        tail=min(given.integer("last", LINES) or 0, MOST_LINES),
    )


def _tracks(request: Request, index: Index, chosen: TargetRecord, given: QueryParameters) -> dict[str, Any]:
    """The topics of its tracks, and the entries of one."""
    del request, index
    return views.tracks(
        chosen, topic=given.text("topic"), limit=min(given.integer("last", LINES) or 0, MOST_LINES)
    )


def _files(request: Request, index: Index, chosen: TargetRecord, given: QueryParameters) -> dict[str, Any]:
    """Its files, `exp.files/1`."""
    del request, index
    return views.files(chosen, name=given.text("name"), is_every_version=given.flag("versions"))


def _environment(
    request: Request, index: Index, chosen: TargetRecord, given: QueryParameters
) -> dict[str, Any]:
    """The packages and uncommitted changes of its openings."""
    del request, index, given
    return views.environment(chosen)


def _openings(request: Request, index: Index, chosen: TargetRecord, given: QueryParameters) -> dict[str, Any]:
    """What its openings recorded about their processes."""
    del request, index, given
    return views.openings(chosen)


def _curve(request: Request, index: Index, chosen: TargetRecord, given: QueryParameters) -> dict[str, Any]:
    """Curves of its metrics with few points."""
    del request
    axis = given.text("x") or "step"
    if axis not in curves.AXES:
        raise UsageError(f"x={axis[:40]}: must be one of {', '.join(curves.AXES)}")
    points = given.integer("points", 1000, least=1) or 1000
    if points > MOST_POINTS:
        raise UsageError(f"points={points}: must be at most {MOST_POINTS}")
    keys = [*given.all("key"), *(part for text in given.all("keys") for part in text.split(",") if part)]
    window = Window(axis=axis, first=given.number("from"), last=given.number("to"), points=points)
    return views.curves(index, chosen, keys=keys, window=window, attempts=_attempts(given))


async def _content(request: Request) -> Response:
    """The content of a saved file, whole or a range."""
    given = QueryParameters(request, ("root", "inline", "signature"))
    checksum = str(request.path_params["checksum"])
    is_inline = given.flag("inline")

    def work() -> Response:
        if not _CHECKSUM.fullmatch(checksum):
            raise NotFoundError("a content is named by the SHA-256 of its bytes")
        index = index_of(request)
        chosen = whole_record(request, index, given.text("root"))
        with forged_content.reading(chosen.record.prefix):
            versions = reversed(chosen.data.files.versions())
            file = next((file for file in versions if file["checksum"] == checksum), None)
            if file is None:
                raise NotFoundError(f"no file of {chosen.record.prefix} has this content")
            headers, kind = file_headers(file["filename"], file["contentType"], is_inline=is_inline)
        try:
            stream = row_files.open_rows(chosen.data.files.content_path(file))
        except FileNotFoundError:
            message = f"the content of {file['filename']} is not here yet"
            return refusal(409, "not_here_yet", message, hint="its sender delivers it: exp sync --status")
        headers["ETag"] = f'"{checksum}"'
        if has_already(request, headers["ETag"]):
            stream.close()
            return Response(status_code=304, headers=headers)
        return ranged(request, stream, headers=headers, media_type=kind)

    return await slowly(request, work)


async def _link(request: Request) -> Response:
    """A link to a content that needs no header, valid for a minute."""
    given = QueryParameters(request, ("root",))

    def work() -> Response:
        path = request.scope["raw_path"].partition(b"?")[0].decode("ascii")
        whole_record(request, index_of(request), given.text("root"))
        signed = request.app.state.access.sessions.sign(path.removesuffix("/link"), request.state.caller)
        return json_answer(request, {"schema": "exp.link/1", "href": signed})

    return await off_loop(work)


async def _compare(request: Request) -> Response:
    """A comparison of records and experiments, `exp.compare/1`."""
    lists = ("prefix", "experiment", "key", "where", "group_by", "over")
    given = QueryParameters(
        request, (*lists, "task", "sort", "descending", "best", "goal", "limit", "attempts")
    )
    asked = {name: given.all(name) for name in lists}
    if not asked["prefix"] and not asked["experiment"]:
        raise UsageError("name what is compared: prefix=PREFIX or experiment=OWNER/HOME/ID")
    for option, needed in (("goal", "best"), ("over", "group_by")):
        if given.all(option) and not given.all(needed):
            raise UsageError(f"{option} needs {needed}")
    options: dict[str, Any] = {
        "where": asked["where"],
        "sort": given.text("sort"),
        "descending": given.flag("descending"),
        "best": given.text("best"),
        "goal": given.text("goal"),
        "keys": asked["key"],
        "limit": given.integer("limit"),
    }
    judge = judge_of(request)

    def ask(index: Index) -> dict[str, Any]:
        prefixes = [prefix.strip("/") or "*" for prefix in asked["prefix"]]
        chosen: list[RunSource] = [IndexedRecords(index, judge, prefix) for prefix in prefixes]
        chosen += experiments_to_compare(request, index, asked["experiment"], task=given.text("task"))
        named = [options["sort"], options["best"], *asked["key"], *conditions.keys(asked["where"])]
        problems: list[str] = []
        rows = compare.rows(
            *chosen,
            keys=[name for name in named if name is not None],
            attempts=_attempts(given),
            report=problems.append,
            measure=index.series.measured,
        )
        if asked["group_by"]:
            grouped = grouping.compare(rows, by=asked["group_by"], over=asked["over"], **options)
            document = record_documents.comparison(grouped.of, grouped)
            compared = grouped.of
        else:
            compared = compare.compare(rows, **options)
            document = record_documents.comparison(compared, None)
        return {
            **document,
            "rows": [{**row, "root": root_id(row["dash_root"])} for row in document["rows"]],
            "columns": [key.title for key in compared.columns],
            "notes": compared.notes,
            "problems": problems,
        }

    return json_answer(request, await slowly(request, lambda: index_of(request).fresh(ask)))
