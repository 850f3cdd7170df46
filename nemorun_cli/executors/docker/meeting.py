"""Members of a group that start at the same time: no task begins before the network knows all of them.

A name of a member that does not run yet is looked up outside, which takes seconds and finds nothing, or
somebody else. A container with a shell therefore waits for its input until the others have started.
"""

from __future__ import annotations

import threading
from typing import Final

PATIENCE: Final = 30.0  # seconds that a started container waits for others, as for their images

_lock = threading.Lock()
_meetings: dict[str, Meeting] = {}  # by group: members on several executors start in one turn


class Meeting:
    """The members of one group that start at the same time. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._missing = 0
        self._is_complete = threading.Event()

    @property
    def has_ended(self) -> bool:
        """Whether no member waits, so that one that comes now belongs to another meeting."""
        return self._is_complete.is_set()

    def expect(self) -> None:
        """Wait for one more member."""
        with _lock:
            self._missing += 1

    def arrive(self) -> None:
        """Wait for one member less."""
        with _lock:
            self._missing -= 1
            if self._missing == 0:
                self.end()

    def end(self) -> None:
        """Let those that wait begin."""
        self._is_complete.set()

    def wait(self) -> None:
        """Wait until all have arrived, or for `PATIENCE`."""
        self._is_complete.wait(PATIENCE)
        self.end()


class Attendance:
    """One member, which arrives once: when its container runs, or when that turns out to be impossible."""

    def __init__(self, meeting: Meeting) -> None:
        self.meeting = meeting
        self._has_arrived = False

    def arrive(self) -> None:
        """Report the arrival, if that has not happened yet."""
        if not self._has_arrived:
            self._has_arrived = True
            self.meeting.arrive()

    def arrive_and_wait(self) -> None:
        """Report the arrival, and wait for the others."""
        self.arrive()
        self.meeting.wait()


def attend(group: str) -> Attendance:
    """Join the members of a group that start now; called by the thread that submits them."""
    meeting = _meetings.get(group)
    if meeting is None or meeting.has_ended:
        meeting = _meetings[group] = Meeting()
    meeting.expect()
    return Attendance(meeting)
