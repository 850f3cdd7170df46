"""What has changed on the server, announced by the part that wrote it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class RecordChange(NamedTuple):
    """A file of a record was written; `path` is below `.record/`, empty if the record was removed."""

    prefix: str
    path: str


class ExperimentChange(NamedTuple):
    """A file of an experiment was written; `path` is below its folder."""

    owner: str
    home: str
    id: str
    path: str


Change = RecordChange | ExperimentChange


class Changes:
    """Passes each change to all listeners, in the thread of the writer.

    A listener only notes the change: it must not wait, read files or raise.
    """

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[Change], None], ...] = ()
        self._lock = threading.Lock()

    def record(self, prefix: str, path: str = "") -> None:
        """A file of a record was written, or the record was removed."""
        for listener in self._listeners:
            listener(RecordChange(prefix, path))

    def experiment(self, owner: str, home: str, experiment_id: str, path: str = "") -> None:
        """A file of an experiment was written, or the experiment was removed."""
        for listener in self._listeners:
            listener(ExperimentChange(owner, home, experiment_id, path))

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call this function with each change from now on; returns what ends that."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def end() -> None:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not listener)

        return end
