"""What containers use, as the engine reports it: requests whose answers nothing waits for."""

from __future__ import annotations

import json
import selectors
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.docker.client import OK, DownError
from nemorun_cli.model.usage_sample import UsageSample

if TYPE_CHECKING:
    from nemorun_cli.executors import Key
    from nemorun_cli.executors.docker.client import Engine, Stream

STATS_PATIENCE: Final = 10.0  # seconds that the engine may take for one answer
LARGEST: Final = 1 << 20  # bytes of an answer, which has some thousand
NANO: Final = 1e-9


@dataclass(slots=True, kw_only=True)
class StatsRequest:
    """A request about one container that has not been answered."""

    key: Key
    container: str
    since: float  # monotonic; the container's start
    stream: Stream
    deadline: float  # monotonic
    answer: bytearray = field(default_factory=bytearray)


class ContainerStats:
    """Asks an engine, at most once at a time for each container.

    Args:
        selector: watches the answers; the data of each is its `StatsRequest`, for `read`.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._requests: dict[Key, StatsRequest] = {}
        self._previous: dict[
            Key, tuple[str, int, float]
        ] = {}  # container, nanoseconds of CPU, monotonic time
        self._samples: dict[Key, UsageSample] = {}

    @property
    def due(self) -> float | None:
        """The monotonic time at which a request is given up."""
        return min((request.deadline for request in self._requests.values()), default=None)

    def ask(self, engine: Engine, key: Key, container: str, *, since: float) -> None:
        """Ask about a container that runs since this monotonic time, if the engine takes a request now."""
        if key in self._requests:
            return
        try:
            stream = engine.stats(container)
        except (DownError, OSError):  # the next sample asks again
            return
        deadline = time.monotonic() + STATS_PATIENCE
        request = StatsRequest(key=key, container=container, since=since, stream=stream, deadline=deadline)
        self._requests[key] = request
        self._selector.register(stream, selectors.EVENT_READ, request)

    def read(self, request: StatsRequest) -> None:
        """Take what the engine has sent of an answer."""
        try:
            request.answer += request.stream.read()
        except (ValueError, IndexError):  # its first line is none of HTTP
            self._drop(request)
            return
        if request.stream.has_ended:
            self._drop(request)
            if request.stream.status == OK and (values := _values(request.answer)):
                self._samples[request.key] = self._sample(request, *values)
        elif len(request.answer) > LARGEST:
            self._drop(request)

    def _sample(self, request: StatsRequest, used: int, memory: int) -> UsageSample:
        now, key = time.monotonic(), request.key
        container, before, measured = self._previous.get(key, ("", 0, request.since))
        if container != request.container:
            before, measured = 0, request.since
        self._previous[key] = (request.container, used, now)
        cpu = max(0.0, (used - before) * NANO / (now - measured)) if now > measured else None
        return UsageSample(time=time.time(), cpu=cpu, memory=memory)

    def expire(self) -> None:
        """Give up requests that the engine does not answer."""
        now = time.monotonic()
        for request in [request for request in self._requests.values() if request.deadline <= now]:
            self._drop(request)

    def take(self) -> dict[Key, UsageSample]:
        """The samples since the last call."""
        samples, self._samples = self._samples, {}
        return samples

    def give_up(self, key: Key) -> None:
        """Drop the request about an attempt, if there is one."""
        if request := self._requests.get(key):
            self._drop(request)

    def forget(self, key: Key) -> None:
        """Drop all that is known of an attempt that has ended."""
        self.give_up(key)
        self._previous.pop(key, None)
        self._samples.pop(key, None)

    def close(self) -> None:
        """Give up all requests."""
        for request in list(self._requests.values()):
            self._drop(request)

    def _drop(self, request: StatsRequest) -> None:
        del self._requests[request.key]
        self._selector.unregister(request.stream)
        request.stream.close()


def _values(answer: bytes | bytearray) -> tuple[int, int] | None:
    """The CPU time (nanoseconds) and the memory (bytes) in an answer; None for a container that has ended.

    As with `docker stats`, pages of files that the kernel can drop at once do not count.
    """
    try:
        stats: dict[str, Any] = json.loads(answer)
        used, memory = stats["cpu_stats"]["cpu_usage"]["total_usage"], stats["memory_stats"]
        details = memory.get("stats", {})
        inactive = details.get("total_inactive_file", details.get("inactive_file", 0))  # of cgroup v1 and v2
        return int(used), max(0, int(memory["usage"]) - int(inactive))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
