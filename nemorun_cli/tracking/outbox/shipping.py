"""What a program with a server does as a record opens and ends: pull, mark, start the sender, wait a moment.

Nothing here fails or delays a training loop: the sender is a process of its own, and the two meet in files.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import EngineError, InvalidValueError, NotFoundError, UsageError
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking.outbox import addresses, delivery, logins, markers, sender_process
from nemorun_cli.tracking.process import console, process_info
from nemorun_cli.tracking.store import record_paths, sessions

if TYPE_CHECKING:
    from nemorun_cli.tracking.outbox.markers import Outbox
    from nemorun_cli.tracking.outbox.pulling import Pull
    from nemorun_cli.tracking.store.record_paths import Place

DRAIN_VARIABLE: Final = "EXP_DRAIN"
DRAIN: Final = 10.0  # seconds to wait for the server at the end of a record
INTERRUPTED_DRAIN: Final = 1.0  # seconds, of a program that is terminated
POLL: Final = 0.02  # seconds
WAKE: Final = 1.0  # seconds until `sync` has a sender try again whose server did not answer
CHECK: Final = 0.25  # seconds between looks at what costs more than a `stat`

_has_spoken = False  # a program prints one line about its servers
_gave_up: dict[str, str | None] = {}  # by outbox: the last acknowledgement when a wait was in vain


class Shipping:
    """A record and the server that gets a copy of it.

    Args:
        url: the server.
        is_default: whether the task chose it, and not the program: then nothing about it is an error.
    """

    def __init__(self, url: str, *, is_default: bool) -> None:
        self.url = url
        self.is_default = is_default
        self.is_new = False  # whether the prefix was made for this record, so that no server can have it
        self._opened = 0.0  # seconds since 1970; an older state of the sender is not used
        self._patience = DRAIN if is_default and addresses.in_task() else drain()

    def check(self, prefix: str) -> str | None:
        """Why a record with this prefix is not shipped; None if it is.

        Raises:
            InvalidValueError: it cannot be on a server, and the program chose the server.
        """
        problem = addresses.prefix_problem(prefix)
        if problem is not None and not self.is_default:
            raise InvalidValueError(
                f"dash_url: {problem}",
                hint="write the prefix as owner/project/name, with your user as the owner",
            )
        return problem

    def own_root(self) -> str | None:
        """The folder of records that are kept only until the server has them; None in a task."""
        return None if addresses.in_task() else markers.in_home(logins.home(), self.url)

    def outbox(self, place: Place) -> Outbox:
        """The outbox of the folder of records."""
        return markers.of_records(place.root, self.url)

    def prepare(self, place: Place, resume: str) -> dict[str, Any]:
        """Get what the server has of the record; returns what the opening notes about it.

        Raises:
            NotFoundError: `resume` is `must`, and the record is neither here nor on the server.
            UsageError: `resume` is `never`, and the server has the record; or the outbox cannot be written.
            EngineError: the server has to be asked for `resume`, and does not answer.
        """
        if (problem := self.check(place.prefix)) is not None:
            _tell(f"tracking: {problem}: this record stays on this machine")
            return {}
        facts = {"dash_url": self.url}
        if addresses.in_task():
            return facts  # its supervisor has the token, and ships it
        self._tell_owner(place.prefix)
        is_here = bool(sessions.ids(place))
        if resume == "never" and (is_here or os.path.isdir(place.record)):
            return facts  # an error, without asking anybody
        from nemorun_cli.tracking.outbox import pulling  # noqa: PLC0415 - not for tasks, nor for readers

        outbox = self.outbox(place)
        try:
            markers.prepare(outbox)
        except OSError as error:  # as where another user has the folder of outboxes
            if resume == "never" or (resume == "must" and not is_here):
                raise UsageError(
                    f"{outbox.folder} cannot be written, and resume is {resume!r}: {error.strerror}",
                    hint="choose another folder with dash_root",
                ) from None
            _tell(f"tracking: {place.prefix} is not sent to {self.url}: {error.strerror}: {outbox.folder}")
            return {}
        if self.is_new and resume == "allow":
            return facts
        rank = process_info.rank(os.environ)
        pulled = pulling.pull(outbox, place.prefix, creates=resume == "never", rank=rank)
        self._judge(pulled, place, resume, is_here=is_here)
        return {**facts, "pulled": pulled.result is not pulling.PullResult.AWAY}

    def _judge(self, pulled: Pull, place: Place, resume: str, *, is_here: bool) -> None:
        """Whether a record can be opened after a pull; what is missing is reported.

        Raises:
            NotFoundError, UsageError, EngineError: as `prepare`.
        """
        result = type(pulled.result)
        if pulled.result is result.EXISTS:
            raise UsageError(
                f"there is already a record at {place.prefix!r} on {self.url}, and resume is 'never'",
                hint="choose another prefix, for example one with {id}",
            )
        if pulled.result is result.NO_RECORD and resume == "must" and not is_here:
            raise NotFoundError(
                f"there is no record at {place.prefix!r}, neither in {place.root} nor on {self.url},"
                " and resume is 'must'"
            )
        if pulled.result is result.PARTLY:
            if resume == "must" and not sessions.ids(place):
                raise EngineError(
                    f"{self.url} has {place.prefix!r}, but it could not be received: {pulled.message}",
                    hint="try again; what has arrived is continued",
                )
            _tell(
                f"tracking: not all that {self.url} has of {place.prefix} is here yet ({pulled.message});"
                " experiment.sync() gets the rest"
            )
        if pulled.result is result.AWAY and (resume == "never" or (resume == "must" and not is_here)):
            reason = f" ({pulled.message})" if pulled.message else ""
            raise EngineError(
                f"{self.url} does not say whether it has {place.prefix!r}, and resume is {resume!r}{reason}",
                hint="try again when it can be reached, log in with `exp login`, or use resume='allow'",
            )

    def announce(self, place: Place, opening: str) -> None:
        """Mark an opening whose file is still empty, so that no kill hides it from the sender."""
        self._write_marker(place, opening, name=opening)

    def opened(self, place: Place, opening: str) -> None:
        """Have a record that was opened shipped, from now on.

        The marker is written again: a sender that saw the opening while it was empty may have removed it.
        """
        outbox = self.outbox(place)
        if logins.has_own_token() and not addresses.in_task():
            state = delivery.state(outbox, place.prefix)
            if state.lacks_token and state.pid is not None:
                sender_process.end_without_token(outbox, state.pid)
                _gave_up.pop(outbox.folder, None)
        self._opened, self.is_new = time.time(), False
        self._mark(place, opening, name=opening)

    def _mark(self, place: Place, opening: str, *, name: str) -> None:
        """Write a marker, and have a sender."""
        if not self._write_marker(place, opening, name=name):
            return
        outbox = self.outbox(place)
        state = delivery.state(outbox, place.prefix)
        if state.is_away or state.lacks_token:  # it may not be so any more; what the server asked for holds
            markers.wake(outbox)
        if not addresses.in_task():
            sender_process.ensure(outbox)

    def _write_marker(self, place: Place, opening: str, *, name: str) -> bool:
        """Write a marker; returns whether that worked."""
        try:
            markers.mark(self.outbox(place), name, prefix=place.prefix, opening=opening)
        except OSError as error:  # as with a full disk: the record itself is written
            _tell(f"tracking: {place.prefix} is not sent to {self.url}: {error.strerror}")
            return False
        return True

    def ended(self, place: Place, opening: str, *, is_interrupted: bool = False) -> None:
        """After the end of an opening, wait a moment for the server to have all of it.

        Prints a line if it does not: what is left, and that it will be sent. Ctrl-C ends the wait.

        Args:
            place: the record.
            opening: its id.
            is_interrupted: whether the program is being terminated, so that it waits at most a second.
        """
        ended, patience = f"{opening}-ended", self._patience
        patience = min(patience, INTERRUPTED_DRAIN) if is_interrupted else patience
        try:
            self._mark(place, opening, name=ended)
        except KeyboardInterrupt:  # what has ended is sent nevertheless, but not waited for
            self._mark(place, opening, name=ended)
            patience = 0.0
        if addresses.in_task():
            return
        outbox = self.outbox(place)
        with contextlib.suppress(KeyboardInterrupt):
            if self._wait(outbox, place, (opening, ended), patience=patience):
                return
        state = delivery.state(outbox, place.prefix, since=self._opened)
        _gave_up[outbox.folder] = state.last
        if self._patience or state.error:
            _tell_left(outbox, place, state, opened=self._opened)

    def sync(self, place: Place, *, timeout: float | None) -> bool:
        """Wait until the server has all that is written now, and get what it has of other machines.

        Args:
            place: the record.
            timeout: seconds to wait at most; None for as long as it takes, in a task for `$EXP_DRAIN`: its
                records may be sent only when it has ended.
        """
        timeout = self._patience if timeout is None and addresses.in_task() else timeout
        outbox, wanted = self.outbox(place), delivery.sizes(place)
        if not _has(outbox, place.prefix, wanted):
            self._mark(place, "", name=f"sync-{record_paths.unique()}")
        end = None if timeout is None else time.monotonic() + timeout
        next_wake = 0.0
        while not (is_delivered := _has(outbox, place.prefix, wanted)):
            if end is not None and time.monotonic() >= end:
                break
            now = time.monotonic()
            if now >= next_wake and not addresses.in_task():
                next_wake = now + WAKE
                sender_process.ensure(outbox)
                if delivery.state(outbox, place.prefix).is_away:
                    markers.wake(outbox)
            time.sleep(POLL)
        self.fetch(place, timeout=None if end is None else max(0.0, end - time.monotonic()))
        return is_delivered

    def fetch(self, place: Place, *, timeout: float | None) -> Pull | None:
        """Get what the server has of a record and this machine has not, if it answers.

        Returns how that ended; None if the server was not asked, as in a task.

        Args:
            place: the record.
            timeout: seconds to wait at most; None for as long as it takes.
        """
        if not addresses.in_task() and timeout != 0:
            from nemorun_cli.tracking.outbox import pulling  # noqa: PLC0415 - not for tasks, nor for readers

            with contextlib.suppress(OSError):  # the outbox cannot be written
                markers.prepare(self.outbox(place))
                return pulling.pull(self.outbox(place), place.prefix, limit=timeout)
        return None

    def absent(self, place: Place, pulled: Pull | None) -> NotFoundError:
        """The error for a record that is not here, nor came from the server.

        Args:
            place: the record.
            pulled: how asking the server ended, if it was asked.
        """
        here = f"there is no record at {place.prefix!r} in {place.root}"
        if pulled is None:
            return NotFoundError(f"{here}, and {self.url} was not asked for it")
        if pulled.result is type(pulled.result).NO_RECORD:
            return NotFoundError(
                f"{here}, nor on {self.url}, or your token may not read it there",
                hint=f"check the prefix; what the token allows: exp whoami {self.url}",
            )
        reason = f" ({pulled.message})" if pulled.message else ""
        return NotFoundError(
            f"{here}, and {self.url} does not say whether it has it{reason}",
            hint=f"try again when it can be reached, or log in: exp login {self.url}",
        )

    def _wait(self, outbox: Outbox, place: Place, names: tuple[str, str], *, patience: float) -> bool:
        """Whether the server has all of an opening, within so many seconds; its markers have these names."""
        files = [markers.marker(outbox, name) for name in names]
        end = time.monotonic() + patience
        next_check = 0.0
        while any(map(os.path.exists, files)):
            now = time.monotonic()
            if now >= next_check:
                next_check = now + CHECK
                sizes = delivery.sizes(place)
                wanted = {path: size for path, size in sizes.items() if f"/{names[0]}" in path}
                contents = {path: size for path, size in sizes.items() if path.startswith("blobs/")}
                state = delivery.state(outbox, place.prefix, since=self._opened)
                if wanted and _has(outbox, place.prefix, wanted):
                    if _has(outbox, place.prefix, contents):
                        return True
                    if state.is_refused:
                        return False
                in_vain = outbox.folder in _gave_up and _gave_up[outbox.folder] == state.last
                if state.is_final or in_vain or not sender_process.ensure(outbox):
                    return False
            if now >= end:
                return False
            time.sleep(min(POLL, max(0.0, end - now)))
        return True

    def _tell_owner(self, prefix: str) -> None:
        """Say at once that the server will refuse the prefix, if that is known."""
        user, owner = logins.user(self.url), prefix.partition("/")[0]
        if user is not None and user != owner:
            _tell(
                f"tracking: you are logged in to {self.url} as {user}, and {prefix} belongs to {owner}:"
                f" the server may refuse it (a prefix of yours begins with {user}/)"
            )


def of_experiment(dash_url: str | bool | None) -> Shipping | None:  # noqa: FBT001 - an argument of a public class
    """How an experiment with this argument is shipped; None if it is not.

    Raises:
        TypeError: it is neither an address nor True.
        InvalidValueError: it is not the address of a server, or none is known.
    """
    if dash_url is True:
        return Shipping(addresses.default(), is_default=False)
    if dash_url is None or dash_url is False or dash_url == "":
        url = addresses.of_task() if dash_url is None else None
        return Shipping(url, is_default=True) if url else None
    return Shipping(addresses.normalized(dash_url), is_default=False)


def drain() -> float:
    """The seconds of `$EXP_DRAIN`; the default if it is no number of seconds, which is reported once."""
    text = os.environ.get(DRAIN_VARIABLE)
    if not text:
        return DRAIN
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if 0 <= seconds < float("inf"):
        return seconds
    _tell_wrong_drain(text)
    return DRAIN


@functools.lru_cache(maxsize=1)
def _tell_wrong_drain(text: str) -> None:
    line = f"tracking: {DRAIN_VARIABLE} is {shown(text)}, and no number of seconds: it counts as {DRAIN:g}"
    console.show(sys.stderr, lambda: line)


def _has(outbox: Outbox, prefix: str, wanted: dict[str, int]) -> bool:
    """Whether the server is known to have files of these sizes."""
    remote = delivery.acknowledged(outbox, prefix)
    return all(remote.get(path, -1) >= size for path, size in wanted.items())


def _tell_left(outbox: Outbox, place: Place, state: delivery.SenderState, *, opened: float) -> None:
    import shlex  # noqa: PLC0415 - only for this line

    from nemorun_cli.model import clock, units  # noqa: PLC0415 - the same

    left = delivery.pending_bytes(delivery.sizes(place), delivery.acknowledged(outbox, place.prefix))
    size = units.size_text(left) if left else "the end"
    is_moving = state.last is not None and clock.unix(state.last) >= opened
    reason = f" ({state.error})" if state.error else "" if is_moving else " (no answer)"
    is_in_home = place.root == markers.in_home(logins.home(), outbox.url)
    where = "" if is_in_home else f" --dash-root {shlex.quote(place.root)}"
    text = f"tracking: {size} of {place.prefix} has not arrived on {outbox.url} yet{reason}"
    if state.is_refused:
        _tell(f"{text}; it stays here: exp sync --status{where}")
    else:
        _tell(f"{text}; it is sent in the background, or by: exp sync{where}")


def _tell(text: str) -> None:
    """Print a line to stderr, the first time that this program has something to say."""
    global _has_spoken  # noqa: PLW0603 - a program has one stderr
    if not _has_spoken:
        _has_spoken = True
        console.show(sys.stderr, lambda: text)
