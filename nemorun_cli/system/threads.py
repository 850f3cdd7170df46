"""A small thread pool for slow requests to engines; its threads do not keep the process from exiting."""

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

    At exit the interpreter waits for the threads of `concurrent.futures`, however long their work takes; an
    engine that never answers must not block the exit.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._threads: list[threading.Thread] = []
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)

    def submit(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> Future[T]:
        """Call a function in a thread; return the future of its result."""
        future: Future[T] = Future()
        self._work.put(lambda: _complete(future, lambda: function(*args, **options)))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._count:
            thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self, *, patience: float) -> None:
        """Let the threads exit when their work is done, and wait for them at most `patience` seconds."""
        for _ in self._threads:
            self._work.put(None)
        end = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            self._idle.release()


def _complete(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - `Future.result` raises it again
        future.set_exception(error)
    else:
        future.set_result(result)
