"""The supervisor's end of the process that samples one search: it never waits for an answer.

A process that was killed is replaced: it gets the past again, and what was not answered.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.system import children
from nemorun_cli.system.process_limits import callers_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nemorun_cli.model.search import SearchRule

MODULE: Final = "nemorun_cli.scheduler.search.sampler_process"
MOST_LOSSES: Final = 2  # processes that are replaced, one after the other, without an answer between them
RETRY: Final = 1.0  # seconds until a process is started again if the machine lacked something for it
ANSWER_TIME: Final = 600.0  # seconds in which a request is answered; then the process is killed
_CHUNK: Final = 1 << 16  # bytes read or written at a time
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
        self._rule, self._replay, self._poll, self._report = rule, replay, poll, report
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._outgoing = bytearray()
        self._received = bytearray()
        self._events = 0  # that were sent to this process
        self._open: deque[dict[str, Any]] = deque()  # requests that are not answered, in their order
        self._answers: list[dict[str, Any]] = []
        self._losses = 0
        self._retry_at = 0.0  # monotonic
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
        if self._channel is not None:
            self._append(message)
        elif kind not in _EVENTS:
            self._start()
        self._watch()

    def take(self) -> list[dict[str, Any]]:
        """The answers since the last call; replaces a process that is lost."""
        if self._channel is not None:
            is_over = self._exchange()
            if not is_over and self._answer_by is not None and time.monotonic() >= self._answer_by:
                self._report(f"the process that samples has not answered in {ANSWER_TIME:g} s")
                is_over = True
            if is_over:
                self._lose()
        if self._channel is None and self._open:
            self._start()
        self._watch()
        answers, self._answers = self._answers, []
        return answers

    @property
    def due(self) -> float | None:
        """The monotonic time at which `take` has to be called though nothing is ready; None for never."""
        if self._answers:
            return 0.0
        if self._channel is None:
            return self._retry_at if self._open else None
        return self._answer_by

    def close(self) -> None:
        """End the process; it has nothing that the ledger does not have."""
        self._open.clear()
        self._end()

    def _start(self) -> None:
        """Start a process, and send it what has happened and what is not answered."""
        if self._refusal is not None:
            self._refuse(self._refusal)
            return
        if time.monotonic() < self._retry_at:
            return
        channel, other = socket.socketpair()
        try:
            with other, callers_limits():
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", MODULE],
                    stdin=other.fileno(),
                    stdout=other.fileno(),
                    stderr=None,  # the supervisor's log
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            channel.close()
            self._report(f"no process can be started for the sampler yet: {error}")
            self._retry_at = time.monotonic() + RETRY
            return
        children.keep(self._process.pid)
        channel.setblocking(False)
        self._channel, self._events = channel, 0
        self._poll.register(channel, select.POLLIN)
        for message in ({"search": self._rule.to_json()}, *_marked(self._replay()), *self._open):
            self._append(message)

    def _append(self, message: Mapping[str, Any]) -> None:
        self._events += next(iter(message)) in _EVENTS
        self._outgoing += json.dumps(message).encode() + b"\n"

    def _exchange(self) -> bool:
        """Write and read what is possible now; returns whether the process has closed its end."""
        assert self._channel is not None  # noqa: S101 - the caller has checked it
        try:
            with contextlib.suppress(BlockingIOError):
                while self._outgoing:
                    del self._outgoing[: self._channel.send(self._outgoing[:_CHUNK])]
        except OSError:
            pass  # it has ended; what it wrote before is read nevertheless
        is_over = False
        try:
            while chunk := self._channel.recv(_CHUNK):
                self._received += chunk
            is_over = True
        except BlockingIOError:
            pass
        except OSError:
            is_over = True
        *lines, rest = self._received.split(b"\n")
        self._received = rest
        for line in lines:
            self._receive(bytes(line))
        return is_over

    def _receive(self, line: bytes) -> None:
        try:
            answer = dict(json.loads(line))
            kind, content = next(iter(answer.items()))
        except (ValueError, TypeError, StopIteration):  # printed by a module that Python loads at its start
            return
        self._losses = 0
        self._answer_by = None
        match kind:
            case "suggestion" if content["events"] != self._events:
                self._append({"ask": content["number"]})  # a result came between
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

    def _lose(self) -> None:
        code = self._end()
        if self._refusal is not None:
            return
        self._losses += 1
        self._report(f"the process that samples ended with exit code {code}")
        if self._losses > MOST_LOSSES:
            self._losses = 0
            ended = f"the process that samples ended with exit code {code}, {MOST_LOSSES + 1} times"
            self._answers += _problems(self._open, ended)
            self._open.clear()

    def _end(self) -> int | None:
        """End the process, and forget what belongs to it; returns its exit code."""
        code = None
        if self._channel is not None:
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._channel)
            self._channel.close()
            self._channel = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            code = self._process.wait()
            children.release(self._process.pid)
            self._process = None
        self._outgoing.clear()
        self._received.clear()
        self._answer_by = None
        return code

    def _watch(self) -> None:
        """Watch for room only while there is something to write, and for time while an answer is missing."""
        if self._channel is None:
            return
        self._poll.modify(self._channel, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        if not self._open:
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
