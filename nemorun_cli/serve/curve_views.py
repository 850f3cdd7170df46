"""`POST /v1/views/curves`: curves of many records in one request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError, NotFoundError, UsageError
from nemorun_cli.experiment.records import targets
from nemorun_cli.serve import curve_documents
from nemorun_cli.serve.answers import LONGEST, MOST, QueryParameters, slowly, text_answer
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.curve_documents import CurveMemory, CurvesQuery
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.experiment_access import experiments_to_compare
from nemorun_cli.serve.index.curves import AXES, Window
from nemorun_cli.serve.index.index import index_of
from nemorun_cli.serve.json_bodies import json_object
from nemorun_cli.serve.record_access import may_read, no_record, record_at
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.row_series import ALL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.serve.index.index import Index
    from nemorun_cli.serve.site import Site
    from nemorun_cli.tracking.store.row_series import Attempts

PATH: Final = "/v1/views/curves"
MOST_POINTS: Final = 100_000
POINTS: Final = 1000
LARGEST_BODY: Final = 1 << 20  # bytes
FIELDS: Final = (
    "experiments",
    "records",
    "only",
    "keys",
    "x",
    "from",
    "to",
    "points",
    "attempts",
    "describe",
    "times",
)


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoint, which needs the scope `read`."""
    del site
    return [Endpoint(PATH, ("POST",), _curves, needs=Scope.READ, largest_body=LARGEST_BODY)]


async def _curves(request: Request) -> Response:
    """Curves of experiments and records, with what distinguishes these."""
    QueryParameters(request, ())
    asked = _Asked(await json_object(request))
    query = asked.query()
    experiments, records = asked.texts("experiments"), asked.records()
    if not experiments and not records:
        raise UsageError("name experiments or records", hint='{"experiments": ["OWNER/HOME/ID"]}')

    def work() -> Response:
        problems: list[str] = []

        def ask(index: Index) -> str:
            problems.clear()
            sources = experiments_to_compare(request, index, experiments, task=None)
            runs = [run for source in sources for run in source.runs(report=problems.append)]
            runs += _named(request, index, records, problems)
            memory = _memory_of(request)
            return curve_documents.curves(index, runs, query, memory=memory, report=problems.append)

        found = index_of(request).fresh(ask)
        head = dump({"schema": curve_documents.FORMAT, **asked.window_json(), "problems": problems})
        return text_answer(request, f"{head[:-1]},{found}}}".encode("ascii"))

    return await slowly(request, work)


def _memory_of(request: Request) -> CurveMemory:
    """The answers that the server remembers; two that are made at once cost no more than time."""
    state = request.app.state
    if not hasattr(state, "curve_memory"):
        state.curve_memory = CurveMemory()
    memory: CurveMemory = state.curve_memory
    return memory


def _named(
    request: Request, index: Index, records: list[tuple[str, str | None]], problems: list[str]
) -> Iterator[list[TargetRecord]]:
    """The named records; one that does not exist, or that the caller may not read, is a problem."""
    for prefix, root in records:
        try:
            if not may_read(request, prefix):
                raise no_record(prefix)
            yield [targets.under(record_at(index, prefix, root))]
        except (NotFoundError, LedgerError) as error:
            problems.append(error.message)


class _Asked:
    """The body of a request.

    Args:
        values: its fields.

    Raises:
        UsageError: there is no field of a name.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        if unknown := [name for name in values if name not in FIELDS]:
            raise UsageError(f"there is no field {unknown[0][:80]!r}", hint=f"there are: {', '.join(FIELDS)}")
        self._values = values

    def texts(self, name: str) -> list[str]:
        """The value, a list of texts; empty if it is not given."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or not all(
            isinstance(text, str) and len(text) <= LONGEST for text in value
        ):
            raise UsageError(f"{name}: must be a list of texts of at most {LONGEST} characters")
        if len(value) > MOST:
            raise UsageError(f"{name}: must have at most {MOST:,} texts")
        return value

    def records(self) -> list[tuple[str, str | None]]:
        """The prefix of each record, and the word for its folder."""
        value = self._values.get("records", [])
        if not isinstance(value, list) or len(value) > MOST:
            raise UsageError(f"records: must be a list of at most {MOST:,} objects")
        return [_record(each) for each in value]

    def query(self) -> CurvesQuery:
        """Which curves."""
        points = self._values.get("points", POINTS)
        if type(points) is not int or not 0 <= points <= MOST_POINTS:
            raise UsageError(f"points: must be a whole number from 0 to {MOST_POINTS}")
        axis = self._values.get("x", AXES[0])
        if axis not in AXES:
            raise UsageError(f"x: must be one of {', '.join(AXES)}")
        window = Window(
            axis=axis,
            first=self._number("from"),
            last=self._number("to"),
            points=points,
            has_times=self._flag("times", default=False),
        )
        return CurvesQuery(
            keys=tuple(self.texts("keys")),
            window=window if points else None,
            attempts=self._attempts(),
            only=tuple(self.texts("only")),
            is_described=self._flag("describe", default=True),
        )

    def window_json(self) -> dict[str, Any]:
        """What was asked for, as the answer repeats it."""
        return {
            "axis": self._values.get("x", AXES[0]),
            "from": self._number("from"),
            "to": self._number("to"),
            "points": self._values.get("points", POINTS),
            "attempts": self._attempts(),
        }

    def _flag(self, name: str, *, default: bool) -> bool:
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise UsageError(f"{name}: must be true or false")
        return value

    def _number(self, name: str) -> float | None:
        value = self._values.get(name)
        if value is not None and (type(value) not in {int, float} or not math.isfinite(value)):
            raise UsageError(f"{name}: must be a number")
        return value

    def _attempts(self) -> Attempts:
        value = self._values.get("attempts")
        if value is None or value == ALL:
            return None if value is None else ALL
        if type(value) is not int or value < 1:
            raise UsageError("attempts: must be all, or a whole number from 1 on")
        return value


def _record(value: Any) -> tuple[str, str | None]:
    if not isinstance(value, dict) or not value.keys() <= {"prefix", "root"}:
        raise UsageError('records: each must be an object such as {"prefix": "alice/run"}')
    prefix, root = value.get("prefix"), value.get("root")
    if not isinstance(prefix, str) or len(prefix) > LONGEST:
        raise UsageError(f"records: a prefix is a text of at most {LONGEST} characters")
    if root is not None and not isinstance(root, str):
        raise UsageError("records: a root is the word for a folder of records")
    return prefix, root
