"""A few threads for questions that take long; none of them keeps the process from ending."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Up to `count` threads, started when there is work.

    Those of `concurrent.futures` are waited for when the interpreter ends, however long their work
    takes; an engine that never answers must not hold up whoever asked.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._threads: list[threading.Thread] = []
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)

    def submit(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> Future[T]:
        """Have a function called; gives what will have its outcome."""
        future: Future[T] = Future()
        self._work.put(lambda: _fulfil(future, lambda: function(*args, **options)))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._count:
            thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self, *, patience: float) -> None:
        """Let the threads end when their work is done, and wait for that at most so many seconds."""
        for _ in self._threads:
            self._work.put(None)
        end = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            self._idle.release()


def _fulfil(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it is raised again where the outcome is asked for
        future.set_exception(error)
    else:
        future.set_result(result)
