"""The supervisor's end of the process that samples one search: it never waits for an answer.

A process that was killed is replaced: it gets the past again, and what was not answered.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.supervisor.helper_process import MOST_LOSSES, HelperProcess, HelperStarter

if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Iterable, Mapping

    from nemorun_cli.model.search import SearchRule

MODULE: Final = "nemorun_cli.scheduler.search.sampler_process"
ANSWER_TIME: Final = 600.0  # seconds in which a request is answered; then the process is killed
_EVENTS: Final = ("suggested", "trial_ended")  # what a suggestion depends on


class SamplerClient:
    """The process of one search, which is started with the first message.

    Args:
        rule: the rule.
        replay: returns the messages about the past, in the order of the ledger, for a new process.
        poll: becomes ready when there is an answer, or capacity for more messages.
        report: called with a message if a process is lost, or cannot be started.
    """

    def __init__(
        self,
        rule: SearchRule,
        *,
        replay: Callable[[], Iterable[Mapping[str, Any]]],
        poll: select.poll,
        report: Callable[[str], None],
    ) -> None:
        self._rule, self._replay, self._report = rule, replay, report
        self._starter = HelperStarter(MODULE, does="samples", poll=poll, report=report)
        self._process: HelperProcess | None = None
        self._events = 0  # that were sent to this process
        self._open: deque[dict[str, Any]] = deque()  # requests that are not answered, in their order
        self._answers: list[dict[str, Any]] = []
        self._losses = 0  # processes, one after the other, without an answer between them
        self._answer_by: float | None = None  # monotonic
        self._refusal: str | None = None  # why no process can answer

    @property
    def refusal(self) -> str | None:
        """Why nothing is answered any more; None while it is."""
        return self._refusal

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, once `replay` knows of its content; see the process for the messages.

        A suggestion that is taken must be sent back before the next result is.
        """
        kind, content = next(iter(message.items()))
        if kind in ("ask", "importances"):
            self._open.append(dict(message))
        elif kind == "values" and content.get("last", False):
            self._open.append({kind: {**content, "values": []}})
        if self._process is not None:
            self._post(self._process, message)
        elif kind not in _EVENTS:
            self._start()
        self._watch()

    def take(self) -> list[dict[str, Any]]:
        """The answers since the last call; replaces a process that is lost."""
        if (process := self._process) is not None:
            for answer in process.exchange():
                self._receive(process, answer)
            is_over = process.has_ended
            if not is_over and self._answer_by is not None and time.monotonic() >= self._answer_by:
                self._report(f"the process that samples has not answered in {ANSWER_TIME:g} s")
                is_over = True
            if is_over:
                self._lose(process)
        if self._process is None and self._open:
            self._start()
        self._watch()
        answers, self._answers = self._answers, []
        return answers

    @property
    def due(self) -> float | None:
        """The monotonic time at which `take` has to be called though nothing is ready; None for never."""
        if self._answers:
            return 0.0
        if self._process is None:
            return self._starter.retry_at if self._open else None
        return self._answer_by

    def close(self) -> None:
        """End the process; it has nothing that the ledger does not have."""
        self._open.clear()
        if (process := self._process) is not None:
            self._process = None
            process.stop()

    def _start(self) -> None:
        """Start a process, and send it what has happened and what is not answered."""
        if self._refusal is not None:
            self._refuse(self._refusal)
            return
        if (process := self._starter.start()) is None:
            return
        self._process, self._events, self._answer_by = process, 0, None
        for message in ({"search": self._rule.to_json()}, *_marked(self._replay()), *self._open):
            self._post(process, message)

    def _post(self, process: HelperProcess, message: Mapping[str, Any]) -> None:
        self._events += next(iter(message)) in _EVENTS
        process.send(message)

    def _receive(self, process: HelperProcess, answer: dict[str, Any]) -> None:
        kind, content = next(iter(answer.items()))
        self._losses = 0
        self._answer_by = None
        match kind:
            case "suggestion" if content["events"] != self._events:
                self._post(process, {"ask": content["number"]})  # a result came between
                return
            case "suggestion" | "exhausted":
                self._close_request({"ask": content["number"]})
            case "judged":
                self._open = deque(
                    request
                    for request in self._open
                    if request.get("values", {}).get("number") != content["number"]
                )
            case "importances":
                self._close_request({"importances": True})
            case "problem" if content.get("is_final", False):
                self._refuse(content["message"])
                return
            case "problem" if content["number"] is None:
                self._close_request({"importances": True})
            case "problem":
                self._close_request({"ask": content["number"]})
        self._answers.append(answer)

    def _close_request(self, request: Mapping[str, Any]) -> None:
        with contextlib.suppress(ValueError):
            self._open.remove(dict(request))

    def _refuse(self, message: str) -> None:
        """Answer what is not answered, now and from now on, with the reason why nothing can be answered."""
        self._refusal = message
        self._answers += _problems(self._open, message)
        self._open.clear()

    def _lose(self, process: HelperProcess) -> None:
        self._process, code = None, process.stop()
        if self._refusal is not None:
            return
        self._starter.report_loss(code)
        self._losses += 1
        if self._losses > MOST_LOSSES:
            self._losses = 0
            ended = f"the process that samples ended with exit code {code}, {MOST_LOSSES + 1} times"
            self._answers += _problems(self._open, ended)
            self._open.clear()

    def _watch(self) -> None:
        """Watch the time while an answer is missing."""
        if self._process is None or not self._open:
            self._answer_by = None
        elif self._answer_by is None:
            self._answer_by = time.monotonic() + ANSWER_TIME


def _marked(past: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The messages about the past, in which values of a trial that has a result need no decision."""
    messages = list(past)
    ended = {message["trial_ended"]["number"] for message in messages if "trial_ended" in message}
    return [
        {"values": {**message["values"], "is_past": True}}
        if "values" in message and message["values"]["number"] in ended
        else message
        for message in messages
    ]


def _problems(requests: Iterable[Mapping[str, Any]], message: str) -> list[dict[str, Any]]:
    """The answers to requests that nobody answers: `judged` for values, so that a trial can end."""
    answers: list[dict[str, Any]] = []
    for request in requests:
        match request:
            case {"ask": number}:
                answers.append({"problem": {"number": number, "message": message}})
            case {"values": {"number": number}}:
                answers.append({"judged": {"number": number}})
            case _:
                answers.append({"problem": {"number": None, "message": message}})
    return answers
