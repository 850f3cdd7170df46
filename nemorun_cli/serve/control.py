"""`POST /v1/control/…`: cancel, resume and rerun experiments, and tag, note and remove what is here.

The commands do it, in processes of their own, as the user who runs the server and with their checks; the
files name the user of the token as the author. Nothing comes with a request that tasks would run: no spec,
no params and no changes.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.responses import Response

from nemorun_cli.errors import UsageError
from nemorun_cli.model import labels
from nemorun_cli.serve import command_process, remembered_actions
from nemorun_cli.serve.answers import QueryParameters, off_loop
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.experiment_access import experiment_at, place_of
from nemorun_cli.serve.index.index import index_of
from nemorun_cli.serve.json_bodies import json_object
from nemorun_cli.serve.record_access import whole_record
from nemorun_cli.serve.refusals import refusal
from nemorun_cli.serve.remembered_actions import (
    ActionOutcome,
    RememberedActions,
    ReusedKeyError,
    TooManyActionsError,
)
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from nemorun_cli.serve.endpoints import Handler
    from nemorun_cli.serve.site import Site

    _Read = Callable[["Fields"], "Words"]

BEGIN: Final = "/v1/control/"
EXPERIMENTS: Final = f"{BEGIN}experiments/"
RECORDS: Final = f"{BEGIN}records/"
EXPERIMENT: Final = EXPERIMENTS + "{owner}/{home}/{id}"
RECORD: Final = RECORDS + "{prefix:path}/.record"
FORMAT: Final = "exp.control/1"
PATIENCE: Final = 30.0  # seconds for which an answer waits
MOST_NAMES: Final = 10_000  # tasks or tags of one request
LARGEST_BODY: Final = 1 << 20  # bytes
LARGEST_NOTE_BODY: Final = 2 * labels.LONGEST_NOTE + 1024  # bytes: quotes and line breaks take two
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Words(NamedTuple):
    """What a request adds to a command line: options before what it is about, words behind it, and text.

    Attributes:
        before: options.
        after: arguments.
        text: standard input.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    text: str = ""


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoints; all need the scope `control`."""
    actions = Actions(site)
    of_both: dict[str, _Read] = {"tag": _tag, "note": _note}
    of_experiment: dict[str, _Read] = {
        "cancel": _cancel,
        "resume": _resume,
        "rerun": _rerun,
        "rm": _rm_experiment,
        **of_both,
    }
    of_record: dict[str, _Read] = {"rm": _rm_record, **of_both}
    return [
        *(_endpoint(EXPERIMENT, name, actions.on_experiment, read) for name, read in of_experiment.items()),
        *(_endpoint(RECORD, name, actions.on_record, read) for name, read in of_record.items()),
    ]


def _endpoint(path: str, action: str, carry_out: Callable[[str, _Read], Handler], read: _Read) -> Endpoint:
    largest = LARGEST_NOTE_BODY if action == "note" else LARGEST_BODY
    return Endpoint(
        f"{path}/{action}", ("POST",), carry_out(action, read), needs=Scope.CONTROL, largest_body=largest
    )


class Actions:
    """The handlers of one server.

    Args:
        site: what is served.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._remembered = RememberedActions()

    def on_experiment(self, action: str, read: _Read) -> Handler:
        """The handler of an action on an experiment of this machine's home."""

        async def handle(request: Request) -> Response:
            if (refused := self._refused()) is not None:
                return refused
            QueryParameters(request, ())
            words = read(await _fields(request))
            place = place_of(request, after=EXPERIMENTS)
            found = await off_loop(lambda: experiment_at(request, index_of(request), place))
            named = (action, "--json", *words.before)
            # what follows two dashes are the arguments of a program, for those commands that start one
            which = (found.files.id,) if action in {"resume", "rerun"} else ("--", found.files.id)
            return await self._carry_out(request, (*named, *which, *words.after), words.text)

        handle.__doc__ = read.__doc__
        return handle

    def on_record(self, action: str, read: _Read) -> Handler:
        """The handler of an action on a record in this machine's folders of records."""

        async def handle(request: Request) -> Response:
            if (refused := self._refused()) is not None:
                return refused
            root = QueryParameters(request, ("root",)).text("root")
            words = read(await _fields(request))
            chosen = await off_loop(lambda: whole_record(request, index_of(request), root, after=RECORDS))
            record = chosen.record
            named = (action, "--json", *words.before, f"--dash-root={record.root}", "--", record.prefix)
            return await self._carry_out(request, (*named, *words.after), words.text)

        handle.__doc__ = read.__doc__
        return handle

    def _refused(self) -> Response | None:
        """The answer of a server that acts on nothing; None if it may act."""
        if self._site.root is not None:
            return refusal(
                409,
                "replica",
                "this server has replicas, on which nobody acts",
                hint="act where the original is: on the machine that runs it",
            )
        if not self._site.acts:
            message = "this server acts on no experiments"
            return refusal(403, "control_off", message, hint="start it with --control")
        return None

    async def _carry_out(self, request: Request, words: tuple[str, ...], text: str) -> Response:
        caller = request.state.caller
        act = partial(command_process.outcome, words, by=caller.user, home=self._site.home, text=text)
        key = request.headers.get(remembered_actions.HEADER)
        asked = json.dumps([words, text]).encode()
        try:
            outcome = await self._remembered.outcome(
                act, user=caller.user, key=key, request=asked, patience=PATIENCE
            )
        except ReusedKeyError as error:
            return refusal(422, "reused_key", error.message, hint=error.hint)
        except TooManyActionsError:
            message = f"{remembered_actions.MOST_AT_ONCE} actions have not ended yet"
            return refusal(429, "too_many_requests", message, headers={"Retry-After": "5"})
        if outcome is None:
            outcome = ActionOutcome(202, {"schema": FORMAT, "action": words[0], "state": "running"})
        body = dump(outcome.document).encode("ascii")
        return Response(body, status_code=outcome.status, headers=_NO_STORE, media_type="application/json")


class Fields:
    """The fields of a body, a JSON object; those that are not known are errors.

    Args:
        values: by name.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def require_known(self, *names: str) -> None:
        """Refuse other fields.

        Raises:
            UsageError: there is one.
        """
        if unknown := [name for name in self._values if name not in names]:
            known = f"there are: {', '.join(names)}"
            raise UsageError(f"there is no field {unknown[0][:80]!r}", hint=known)

    def texts(self, name: str) -> list[str]:
        """The value, a list of texts; empty if it is not given."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or not all(map(_is_text, value)):
            raise UsageError(f"{name}: must be a list of texts")
        if len(value) > MOST_NAMES:
            raise UsageError(f"{name}: must have at most {MOST_NAMES:,} texts")
        return value

    def text(self, name: str) -> str:
        """The value, a text."""
        value = self._values.get(name)
        if not isinstance(value, str) or not _is_text(value):
            raise UsageError(f"{name}: must be a text")
        return value

    def flag(self, name: str) -> bool:
        """The value, true or false; false if it is not given."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise UsageError(f"{name}: must be true or false")
        return value


async def _fields(request: Request) -> Fields:
    is_given = (await request.body()).strip()
    return Fields(await json_object(request) if is_given else {})


def _is_text(value: Any) -> bool:
    """Whether a value is a text that a command can be given."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _cancel(fields: Fields) -> Words:
    """Cancel an experiment, or some of its tasks."""
    fields.require_known("tasks")
    return Words(after=tuple(fields.texts("tasks")))


def _resume(fields: Fields) -> Words:
    """Continue an experiment from its own copy of the spec."""
    fields.require_known("from", "dry_run")
    below = [f"--from={task}" for task in fields.texts("from")]
    return Words(before=(*below, "--dry-run" if fields.flag("dry_run") else "--detach"))


def _rerun(fields: Fields) -> Words:
    """Start a new experiment from the copy of the spec of an earlier one."""
    fields.require_known("dry_run")
    is_dry = fields.flag("dry_run")
    return Words(before=("--dry-run",) if is_dry else ("--detach", "--no-direct"))


def _tag(fields: Fields) -> Words:
    """Add and remove tags."""
    fields.require_known("add", "remove")
    added, removed = fields.texts("add"), fields.texts("remove")
    if not added and not removed:
        raise UsageError("name tags to add or to remove", hint='{"add": ["best"], "remove": []}')
    return Words(after=(*(f"+{tag}" for tag in added), *(f"-{tag}" for tag in removed)))


def _note(fields: Fields) -> Words:
    """Add a note."""
    fields.require_known("text")
    return Words(after=("-",), text=fields.text("text"))


def _rm_experiment(fields: Fields) -> Words:
    """Move an experiment to the trash, with the records that only it wrote or without."""
    fields.require_known("records", "dry_run")
    return Words(before=_options(fields, records="--records", dry_run="--dry-run"))


def _rm_record(fields: Fields) -> Words:
    """Move a record to the trash."""
    fields.require_known("dry_run")
    return Words(before=_options(fields, dry_run="--dry-run"))


def _options(fields: Fields, **options: str) -> tuple[str, ...]:
    """The options whose fields are true."""
    return tuple(option for name, option in options.items() if fields.flag(name))
