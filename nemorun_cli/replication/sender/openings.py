"""The openings of a record that a sender tends: which are alive, and which were lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import ExpError
from nemorun_cli.model.status import ExperimentStatus, Reason
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.process import process_info
from nemorun_cli.tracking.store import sessions

if TYPE_CHECKING:
    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.sessions import Session

TASK_GRACE: Final = 15.0  # seconds in which the supervisor of a task records how it ended, as it knows more
AUTHOR: Final = "sender"


class Openings:
    """The openings of one record, as they were at the last look.

    Attributes:
        alive: the ids of those whose process is alive on this machine.
        unended: the ids of those that have not ended.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._gone_since: dict[str, float] = {}
        self._own: dict[str, bool] = {}
        self.alive: list[str] = []
        self.unended: frozenset[str] = frozenset()

    def look(self) -> None:
        """Read them, and write the verdict `lost` on those whose process died before it ended them.

        Raises:
            ExpError: an opening cannot be read.
            OSError: the verdict cannot be written.
        """
        openings = sessions.read_all(self._place)[0]
        now = time.monotonic()
        lost = []
        for opening in openings:
            path = self._place.opening(opening.id)
            is_ours = opening.facts.get("host") == process_info.host()
            self._own[opening.id] = is_ours and not sessions.is_copy(path, opening.facts)
            if opening.state != "gone":
                self._gone_since.pop(opening.id, None)
            elif now - self._gone_since.setdefault(opening.id, now) >= _grace(opening):
                lost.append(opening)
        for opening in lost:
            self._close(opening)
        ended = {opening.id for opening in lost}
        self.alive = [opening.id for opening in openings if opening.state == "alive"]
        self.unended = frozenset(
            opening.id for opening in openings if opening.state != "ended" and opening.id not in ended
        )

    def is_own_file(self, path: str) -> bool:
        """Whether a process of this machine writes, or wrote, a file of the record."""
        opening = path.rpartition("/")[2].partition(".")[0]
        if opening not in self._own:
            try:
                self.look()
            except (ExpError, OSError):
                return True
        return self._own.get(opening, True)

    def _close(self, opening: Session) -> None:
        reader.close_openings(
            self._place.root,
            self._place.prefix,
            exp_id=None,
            status=ExperimentStatus.FAILED,
            reason=str(Reason.LOST),
            message=opening.message,
            only=[opening.id],
            author=AUTHOR,
        )


def _grace(opening: Session) -> float:
    return TASK_GRACE if opening.facts.get("exp_id") else 0.0
