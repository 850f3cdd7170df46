"""Reads what arrives on a collector before anybody asks for it, with a part of the time of one core."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import ExpError

if TYPE_CHECKING:
    from nemorun_cli.serve.index.row_cache import RowCache

log = logging.getLogger("nemorun_cli.serve")

DELAY: Final = 2.0  # seconds after a change: many small appends are read at once
SHARE: Final = 0.2  # of the time that is spent on it, so that appends are not slowed
SMALLEST: Final = 1 << 20  # bytes that a file has to have grown; less is read as fast when it is asked for


class BackgroundReader:
    """A thread that extends the columns of files of metrics; it is started by the first change."""

    def __init__(self, rows: RowCache) -> None:
        self._rows = rows
        self._grown: set[str] = set()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def changed(self, path: str) -> None:
        """A file of metrics has grown; safe from any thread."""
        self._grown.add(path)
        self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="exp-index", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            self._wake.wait()
            self._wake.clear()
            self._over.wait(DELAY)
            for path in [self._grown.pop() for _ in range(len(self._grown))]:
                begin = time.thread_time()
                if self._over.is_set():
                    return
                try:
                    self._rows.read_ahead(path, least=SMALLEST)
                except (ExpError, OSError):
                    continue  # a request for it gets the error
                except Exception:
                    log.exception("the metrics in %s cannot be read ahead", path)
                    continue
                self._over.wait((time.thread_time() - begin) * (1 / SHARE - 1))
