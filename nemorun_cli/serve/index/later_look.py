"""A look at all folders for which no request waits."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from nemorun_cli.serve.index.cache_file import CacheLostError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("nemorun_cli.serve")

AT_ONCE: Final = 50  # records or experiments that are read while requests wait


class LaterLook:
    """Looks in a thread, one at a time."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self, look: Callable[[], None]) -> None:
        """Begin a look, unless there is one."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, args=(look,), name="exp-look", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait for the end of a look."""
        with self._lock:
            if self._thread is not None:
                self._thread.join()

    @staticmethod
    def _run(look: Callable[[], None]) -> None:
        try:
            look()
        except CacheLostError:
            pass  # the next request looks again
        except Exception:
            log.exception("the folders cannot be looked at")
