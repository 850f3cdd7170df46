"""The plugin `notify`: runs a command or calls a webhook when an experiment ends or a task fails."""

from __future__ import annotations

import json
import os
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.model import masking, units, wording
from nemorun_cli.model.clock import seconds_between
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
from nemorun_cli.plugins import SUPERVISOR_GONE, Plugin
from nemorun_cli.storage.events import ENDED, FINISHED
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.events import Event
    from nemorun_cli.views.snapshot import Snapshot

NOTIFY_FORMAT: Final = "exp.notify/1"
MOST_FAILED: Final = 20  # tasks that are listed
OUTPUT_SHOWN: Final = 500  # characters of the output of a failed command
PAUSE: Final = 2.0  # seconds before the first retry; doubled for each further one
LONGEST_PAUSE: Final = 60.0  # the longest pause, in seconds

_RESULTS: Final = {
    "success": ExperimentStatus.COMPLETED,
    "failure": ExperimentStatus.FAILED,
    "cancel": ExperimentStatus.CANCELLED,
}
_OCCASIONS: Final = ("end", *_RESULTS, "interrupted", "first_failure", "each_failure")
_TEXT: Final = {"type": "string", "minLength": 1}
_MAX_TIMEOUT: Final = 60.0  # seconds per attempt


class NotifyError(Exception):
    """A notification could not be sent."""


class _UselessError(NotifyError):
    """A notification could not be sent, and never can be."""


class Notify(Plugin):
    """Notifies people or programs of an experiment. See docs/extend/plugins.md."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "on": {
                "description": "When to notify: when the experiment ends, or ends with a given result; when "
                "its supervisor is lost; when the first task or each task has failed without further retry.",
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
                "description": "A command, run in the spec's folder with exp.notify/1 on stdin and the "
                "text in $EXP_TEXT.",
                "title": "an argument list",
                "type": "array",
                "minItems": 1,
                "items": _TEXT,
            },
            "webhook": {
                "description": "The URL to post to; preferably a secret: {secret: {env: NAME}}.",
                "title": "a URL, http:// or https://",
                "type": "string",
                "pattern": "^https?://",
            },
            "headers": {
                "description": "Headers for the webhook.",
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
            "form": {
                "description": "What is posted: exp.notify/1, its text, or the text for Slack or Discord.",
                "type": "string",
                "enum": ["json", "text", "slack", "discord"],
                "default": "json",
            },
            "timeout": {
                "description": "Per attempt, at most a minute.",
                "title": "a duration of at most a minute, such as 10s",
                "type": ["string", "number"],
                "pattern": r"^([0-9]+(\.[0-9]+)?s?|1m)$",
                "minimum": 0.1,
                "maximum": _MAX_TIMEOUT,
                "default": "10s",
            },
            "retries": {
                "description": "How often to retry, after 2 s, 4 s and so on.",
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
        self._timeout = min(units.duration(timeout), _MAX_TIMEOUT)
        if webhook is not None and not webhook.startswith(("http://", "https://", masking.MASK)):
            raise ValueError("the webhook does not begin with http:// or https://")
        self._any_failed = False
        self._mask: Callable[[str], str] = str

    def on_event(self, event: Event, run: Run) -> None:
        """Send a notification if `on` includes the event."""
        if event["event"] == FINISHED:
            status = event["status"]
            results = [name for name, result in _RESULTS.items() if result == status]
            if self._on.intersection(("end", *results)):
                self._send(document(run.status(observe=False), "end", event), run)
        elif event["event"] == SUPERVISOR_GONE:
            if "interrupted" in self._on:
                self._send(document(run.status(observe=False), "interrupted", event), run)
        elif event["status"] == TaskStatus.FAILED and self._on & {"first_failure", "each_failure"}:
            self._on_failure(event, run)

    def _on_failure(self, event: Event, run: Run) -> None:
        if self._any_failed and "each_failure" not in self._on:
            return
        snapshot = run.status(observe=False)
        state = snapshot.history.tasks[event["task"]]
        if state.status is not TaskStatus.FAILED or state.attempt != event["attempt"]:
            return  # it is tried again
        self._any_failed = True
        first = min(_failed(snapshot), key=lambda name: snapshot.history.tasks[name].ended or "")
        if first == event["task"] and "first_failure" in self._on:
            self._send(document(snapshot, "first_failure", event), run)
        elif "each_failure" in self._on:
            self._send(document(snapshot, "each_failure", event), run)

    def _send(self, message: dict[str, Any], run: Run) -> None:
        message = masking.mask_texts(message, run.secrets)
        self._mask = partial(masking.mask, values=frozenset(run.secrets))
        channels = [*([self._call] if self._webhook else []), *([self._run] if self._command else [])]
        if errors := [error for channel in channels if (error := self._send_by(channel, message))]:
            raise NotifyError("; ".join(errors))

    def _send_by(self, channel: Callable[[dict[str, Any]], None], message: dict[str, Any]) -> str | None:
        """Send with retries; return the error of the last attempt, or None."""
        pauses = Backoff(first=PAUSE, longest=LONGEST_PAUSE)
        for number in range(self._retries + 1):
            if number:
                time.sleep(pauses.next())
            try:
                channel(message)
            except (NotifyError, OSError, ValueError, subprocess.SubprocessError) as error:
                problem = self._mask(str(error) or type(error).__name__)
                if isinstance(error, _UselessError):
                    break
            else:
                return None
        return problem

    def _run(self, message: dict[str, Any]) -> None:
        try:
            done = subprocess.run(
                self._command,
                input=json.dumps(message).encode() + b"\n",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self._timeout,
                env={**os.environ, **_variables(message)},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotifyError(f"{self._command[0]} did not finish within {self._timeout:g} s") from None
        if done.returncode:
            printed = self._mask(done.stdout.decode(errors="replace").strip())[-OUTPUT_SHOWN:]
            raise NotifyError(f"{self._command[0]} failed with exit code {done.returncode}: {printed}")

    def _call(self, message: dict[str, Any]) -> None:
        from nemorun_cli.plugins.builtin import webhook  # noqa: PLC0415 - not for commands

        body = {"slack": {"text": message["text"]}, "discord": {"content": message["text"]}}.get(
            self._form, message
        )
        is_text = self._form == "text"
        data = message["text"].encode(errors="replace") if is_text else json.dumps(body).encode()
        content_type = "text/plain; charset=utf-8" if is_text else "application/json"
        headers = {"Content-Type": content_type, "User-Agent": "exp", **self._headers}
        try:
            webhook.post(str(self._webhook), data, headers, timeout=self._timeout)
        except webhook.UnusableAddressError as error:
            raise _UselessError(str(error)) from None
        except webhook.WebhookError as error:
            raise NotifyError(str(error)) from None


def document(snapshot: Snapshot, occasion: str, event: Event) -> dict[str, Any]:
    """Return the document `exp.notify/1`."""
    states = snapshot.history
    started = states.resumed or states.started
    seconds = seconds_between(started, event["time"]) if started else None
    failed = _failed(snapshot)
    task = event.get("task")
    message = {
        "schema": NOTIFY_FORMAT,
        "occasion": occasion,
        "text": "",
        "id": snapshot.files.id,
        "name": snapshot.spec.name,
        "title": snapshot.spec.title,
        "status": str(states.status or states.outcome or snapshot.status),
        "directory": str(snapshot.files.directory),
        "host": os.uname().nodename,
        "time": event["time"],
        "started": started,
        "duration": None if seconds is None else round(seconds, 3),
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
    return {**message, "text": "\n".join(_lines(message, snapshot))}


def _failed(snapshot: Snapshot) -> list[str]:
    states = snapshot.history.tasks
    return [name for name, state in states.items() if state.status is TaskStatus.FAILED]


def _lines(message: Mapping[str, Any], snapshot: Snapshot) -> Iterator[str]:
    """Yield the lines of the message's text."""
    host = message["host"]
    if message["occasion"] == "interrupted":
        yield f"{snapshot.label} lost its supervisor on {host} ({wording.counts(snapshot.history.counts)})"
        yield f"exp resume {message['id']}"
        return
    if message["task"]:
        reason = snapshot.history.tasks[message["task"]].why()
        yield f"{snapshot.label}: {message['task']} failed ({reason}) on {host}"
    else:
        duration = wording.seconds(message["duration"])
        after = f" after {duration}" if duration else ""
        counts = wording.counts(snapshot.history.counts)
        yield f"{snapshot.label} {message['status']}{after} on {host} ({counts})"
        for entry in message["failed"]:
            yield f"  {entry['id']}: {snapshot.history.tasks[entry['id']].why()}"
        if message["failed_count"] > len(message["failed"]):
            yield f"  … and {message['failed_count'] - len(message['failed'])} more"
    yield f"exp status {message['id']}"


def _variables(message: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment variables of a command, for short scripts."""
    names = {"EXP_ID": "id", "EXP_NAME": "name", "EXP_STATUS": "status", "EXP_TEXT": "text"}
    more = {"EXP_DIR": "directory", "EXP_OCCASION": "occasion", "EXP_TASK": "task"}
    return {variable: str(message[key] or "") for variable, key in {**names, **more}.items()}
