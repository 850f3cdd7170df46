"""The plugin `notify`: runs a command or calls a webhook when an experiment ends, or a task of it fails."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.model import masking, units, wording
from nemorun_cli.model.clock import unix
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
from nemorun_cli.plugins import SUPERVISOR_GONE, Plugin
from nemorun_cli.storage.state import ENDED, FINISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.ledger import Event
    from nemorun_cli.views.snapshot import Snapshot

NOTIFY_FORMAT: Final = "exp.notify/1"
MOST_FAILED: Final = 20  # tasks that are told one by one
OUTPUT_SHOWN: Final = 500  # characters of what a command printed that failed
PAUSE: Final = 2.0  # seconds before the first repetition; each further one takes twice as long

_ENDS: Final = {
    "success": ExperimentStatus.COMPLETED,
    "failure": ExperimentStatus.FAILED,
    "cancel": ExperimentStatus.CANCELLED,
}
_OCCASIONS: Final = ("end", *_ENDS, "interrupted", "first_failure", "each_failure")
_TEXT: Final = {"type": "string", "minLength": 1}
_LONGEST: Final = 60.0  # seconds of one try


class NotifyError(Exception):
    """Nobody could be told."""


class Notify(Plugin):
    """Tells people or programs about an experiment. See docs/plugins.md."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "on": {
                "description": "When it tells: at every end of the experiment, at one of a kind, when its "
                "supervisor is gone before, when the first task has failed for good, or when each one has.",
                "title": f"one of {', '.join(_OCCASIONS)}, or a list of these",
                "anyOf": [
                    {"type": "string", "enum": list(_OCCASIONS)},
                    {
                        "type": "array",
                        "minItems": 1,
                        "uniqueItems": True,
                        "items": {"type": "string", "enum": list(_OCCASIONS)},
                    },
                ],
                "default": "end",
            },
            "command": {
                "description": "A command, run in the spec's folder with exp.notify/1 as its input and the "
                "text in $EXP_TEXT.",
                "title": "an argument list",
                "type": "array",
                "minItems": 1,
                "items": _TEXT,
            },
            "webhook": {
                "description": "An address that it is posted to; better a secret: {secret: {env: NAME}}.",
                "title": "an address, http:// or https://",
                "type": "string",
                "pattern": "^https?://",
            },
            "headers": {
                "description": "Headers for the webhook.",
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
            "form": {
                "description": "What is posted: exp.notify/1, its text, or that as Slack or Discord want it.",
                "type": "string",
                "enum": ["json", "text", "slack", "discord"],
                "default": "json",
            },
            "timeout": {
                "description": "For one try, at most a minute.",
                "title": "a duration of at most a minute, such as 10s",
                "type": ["string", "number"],
                "pattern": r"^([0-9]+(\.[0-9]+)?s?|1m)$",
                "minimum": 0.1,
                "maximum": _LONGEST,
                "default": "10s",
            },
            "retries": {
                "description": "How often it is tried again, after 2 s, 4 s and so on.",
                "type": "integer",
                "minimum": 0,
                "maximum": 4,
                "default": 2,
            },
        },
        "anyOf": [{"required": ["command"]}, {"required": ["webhook"]}],
    }
    events: ClassVar[frozenset[str] | None] = frozenset({ENDED, FINISHED, SUPERVISOR_GONE})
    limit: ClassVar[float] = 400.0

    def __init__(
        self,
        *,
        on: str | Sequence[str] = "end",
        command: Sequence[str] = (),
        webhook: str | None = None,
        headers: Mapping[str, str] | None = None,
        form: str = "json",
        timeout: str | float = "10s",
        retries: int = 2,
    ) -> None:
        self._on = {on} if isinstance(on, str) else set(on)
        self._command, self._webhook, self._headers = list(command), webhook, dict(headers or {})
        self._form, self._retries = form, retries
        self._timeout = min(units.duration(timeout), _LONGEST)
        if webhook is not None and not webhook.startswith(("http://", "https://", masking.MASK)):
            raise ValueError("the webhook is no address that begins with http:// or https://")
        self._has_failed = False

    def on_event(self, event: Event, run: Run) -> None:
        """Tell of it, if it is something to be told of."""
        if event["event"] == FINISHED:
            status = event["status"]
            ends = [name for name, end in _ENDS.items() if end == status]
            if self._on.intersection(("end", *ends)):
                self._tell(document(run.status(observe=False), "end", event), run)
        elif event["event"] == SUPERVISOR_GONE:
            if "interrupted" in self._on:
                self._tell(document(run.status(observe=False), "interrupted", event), run)
        elif event["status"] == TaskStatus.FAILED and self._on & {"first_failure", "each_failure"}:
            self._hear_failure(event, run)

    def _hear_failure(self, event: Event, run: Run) -> None:
        if self._has_failed and "each_failure" not in self._on:
            return
        snapshot = run.status(observe=False)
        state = snapshot.history.tasks[event["task"]]
        if state.status is not TaskStatus.FAILED or state.attempt != event["attempt"]:
            return  # it is tried again
        self._has_failed = True
        first = min(_failed(snapshot), key=lambda name: snapshot.history.tasks[name].ended or "")
        if first == event["task"] and "first_failure" in self._on:
            self._tell(document(snapshot, "first_failure", event), run)
        elif "each_failure" in self._on:
            self._tell(document(snapshot, "each_failure", event), run)

    def _tell(self, told: dict[str, Any], run: Run) -> None:
        told = json.loads(masking.mask(json.dumps(told, ensure_ascii=False), run.secrets))
        channels = [*([self._call] if self._webhook else []), *([self._run] if self._command else [])]
        if wrong := [error for channel in channels if (error := self._tried(channel, told))]:
            raise NotifyError("; ".join(wrong))

    def _tried(self, channel: Callable[[dict[str, Any]], None], told: dict[str, Any]) -> str | None:
        """What went wrong at the last try, or None if one went well."""
        for number in range(self._retries + 1):
            if number:
                time.sleep(PAUSE * 2 ** (number - 1))
            try:
                channel(told)
            except (NotifyError, OSError, subprocess.SubprocessError) as error:
                wrong = str(error) or type(error).__name__
            else:
                return None
        return wrong

    def _run(self, told: dict[str, Any]) -> None:
        try:
            done = subprocess.run(
                self._command,
                input=json.dumps(told).encode() + b"\n",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self._timeout,
                env={**os.environ, **_variables(told)},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotifyError(f"{self._command[0]} did not end within {self._timeout:g} s") from None
        if done.returncode:
            printed = done.stdout.decode(errors="replace").strip()[-OUTPUT_SHOWN:]
            raise NotifyError(f"{self._command[0]} ended with exit code {done.returncode}: {printed}")

    def _call(self, told: dict[str, Any]) -> None:
        import urllib.error  # noqa: PLC0415 - not for commands
        import urllib.request  # noqa: PLC0415 - the same

        body = {"slack": {"text": told["text"]}, "discord": {"content": told["text"]}}.get(self._form, told)
        is_text = self._form == "text"
        data = told["text"].encode() if is_text else json.dumps(body).encode()
        kind = "text/plain; charset=utf-8" if is_text else "application/json"
        request = urllib.request.Request(  # noqa: S310 - the schema lets only http and https through
            str(self._webhook),
            data=data,
            headers={"Content-Type": kind, "User-Agent": "exp", **self._headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:  # noqa: S310 - checked
                answer.read(1)
        except urllib.error.HTTPError as error:
            raise NotifyError(f"the webhook answered {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            raise NotifyError(f"the webhook cannot be reached: {error.reason}") from None


def document(snapshot: Snapshot, occasion: str, event: Event) -> dict[str, Any]:
    """The document `exp.notify/1`."""
    states = snapshot.history
    begin = states.resumed or states.started
    lasted = max(0.0, unix(event["time"]) - unix(begin)) if begin else None
    failed = _failed(snapshot)
    task = event.get("task")
    told = {
        "schema": NOTIFY_FORMAT,
        "occasion": occasion,
        "text": "",
        "id": snapshot.files.id,
        "name": snapshot.spec.name,
        "status": str(states.status or states.outcome or snapshot.status),
        "directory": str(snapshot.files.directory),
        "host": os.uname().nodename,
        "time": event["time"],
        "started": begin,
        "duration": None if lasted is None else round(lasted, 3),
        "counts": {str(status): count for status, count in states.counts.items() if count},
        "task": task,
        "failed_count": len(failed),
        "failed": [
            {
                "id": name,
                "exit_code": states.tasks[name].exit_code,
                "reason": states.tasks[name].reason,
                "message": states.tasks[name].message,
            }
            for name in ([task] if task else failed[:MOST_FAILED])
        ],
    }
    return {**told, "text": "\n".join(_lines(told, snapshot))}


def _failed(snapshot: Snapshot) -> list[str]:
    states = snapshot.history.tasks
    return [name for name, state in states.items() if state.status is TaskStatus.FAILED]


def _lines(told: Mapping[str, Any], snapshot: Snapshot) -> Iterator[str]:
    """What is told, for people."""
    host = told["host"]
    if told["occasion"] == "interrupted":
        yield f"{told['id']} lost its supervisor on {host} ({wording.counts(snapshot.history.counts)})"
        yield f"exp resume {told['id']}"
        return
    if told["task"]:
        why = snapshot.history.tasks[told["task"]].why()
        yield f"{told['id']}: {told['task']} failed ({why}) on {host}"
    else:
        lasted = wording.seconds(told["duration"])
        after = f" after {lasted}" if lasted else ""
        yield f"{told['id']} {told['status']}{after} on {host} ({wording.counts(snapshot.history.counts)})"
        for entry in told["failed"]:
            yield f"  {entry['id']}: {snapshot.history.tasks[entry['id']].why()}"
        if told["failed_count"] > len(told["failed"]):
            yield f"  … and {told['failed_count'] - len(told['failed'])} more"
    yield f"exp status {told['id']}"


def _variables(told: Mapping[str, Any]) -> dict[str, str]:
    """What a command gets besides its input, for those that are short."""
    names = {"EXP_ID": "id", "EXP_NAME": "name", "EXP_STATUS": "status", "EXP_TEXT": "text"}
    more = {"EXP_DIR": "directory", "EXP_OCCASION": "occasion", "EXP_TASK": "task"}
    return {variable: str(told[key] or "") for variable, key in {**names, **more}.items()}
