"""Whether an open record is still where it was opened, and whether its opening has ended meanwhile."""

from __future__ import annotations

import fcntl
import os
import time
from typing import Final, NamedTuple, Self

from nemorun_cli.errors import StateError
from nemorun_cli.system.files import at_most, descriptor_of_folder, descriptor_to_read, open_to_read

LARGEST_OPENING = 1 << 26  # bytes of the file of an opening that are read to look for its end
LONGEST_MOVE: Final = 1.0  # seconds that an opening waits for the move of its record
MOVE_POLL: Final = 0.001  # seconds


class Presence(NamedTuple):
    """The file of an opening, whose name is unique, as it was when the record was opened.

    `device` and `inode` are None in a copy, which may be on another machine.
    """

    path: str
    size: int
    device: int | None
    inode: int | None

    @classmethod
    def of(cls, path: str, descriptor: int) -> Self:
        """The presence of an opening that this process has just written."""
        status = os.fstat(descriptor)
        return cls(path, status.st_size, status.st_dev, status.st_ino)

    def of_copy(self) -> Self:
        """The same for a copy of the record in any process, on any machine."""
        return self._replace(device=None, inode=None)

    def require(self) -> None:
        """Raise if the folder of the record is not where it was; costs one `stat`.

        Raises:
            StateError: it was moved or removed.
        """
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise self._moved() from error
        is_other = self.inode is not None and (status.st_dev, status.st_ino) != (self.device, self.inode)
        # some file systems do not keep the numbers of a file; a copy of it has no lock
        if is_other and is_held(self.path) is False:
            raise self._moved()

    def _moved(self) -> StateError:
        return StateError(
            f"the folder of the record was moved or removed while it was open: {self.path} is no longer"
            " the file of its opening",
            hint="move it back, or end the record and open it at its new place",
        )

    def has_ended(self) -> bool:
        """Whether the process that opened the record has ended it; False if that cannot be read."""
        try:
            if os.stat(self.path).st_size == self.size:
                return False
            with open_to_read(self.path, follows_link=False) as stream:
                lines = at_most(LARGEST_OPENING, stream, self.path).splitlines()
        except OSError:
            return False
        return any(b'"event":"ended"' in line[:64] for line in lines[1:])


def hold(openings: str, *, is_removal: bool) -> int | None:
    """A descriptor that keeps a record in its place as it is opened, or closed as it is moved.

    Returns None if there is no record yet, or no lock, as on some file systems. An opening waits a moment for
    a removal; then, or without a lock, it notices by its presence that the record was moved.

    Args:
        openings: the folder of its openings.
        is_removal: whether it is to be moved, and not to be opened.

    Raises:
        BlockingIOError: it is being opened, and was to be moved.
    """
    try:
        descriptor = descriptor_of_folder(openings)
    except OSError:
        return None
    end = time.monotonic() + LONGEST_MOVE
    while True:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if is_removal else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            if not is_removal and time.monotonic() < end:
                time.sleep(MOVE_POLL)
                continue
            os.close(descriptor)
            if is_removal:
                raise
            return None
        except OSError:
            os.close(descriptor)
            return None
        return descriptor


def is_held(path: str) -> bool | None:
    """Whether the lock on a file is held, so that its process is alive; None where locks are not supported.

    The probe takes a shared lock for an instant.
    """
    descriptor = descriptor_to_read(path, follows_link=False)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False
