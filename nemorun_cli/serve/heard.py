"""`POST /v1/heard`: what senders see running, and how long ago; kept across restarts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from nemorun_cli.model import clock
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.json_bodies import parsed_object
from nemorun_cli.serve.refusals import refusal
from nemorun_cli.system.files import RefusedFileError, make_folder, read_bytes, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from nemorun_cli.serve.access import Access
    from nemorun_cli.serve.caller import Caller
    from nemorun_cli.serve.site import Site

HEARD_FORMAT: Final = "exp.heard/1"
FOLDER: Final = "heard"
SKEW: Final = 5.0  # seconds by which the clocks of two machines may differ unnoticed
KEPT: Final = 30 * 86400.0  # seconds
MOST_MACHINES: Final = 1000  # of one user; a boot of a host is one
MOST: Final = 10_000  # openings or experiments in one report, and of one machine that are kept
LARGEST: Final = 1 << 24  # bytes of a kept report
LONGEST_NAME: Final = 256  # characters of a host or a boot id

Subject = tuple[str, ...]  # a prefix and an opening, or an owner, a home and an id


class Heard(NamedTuple):
    """When a machine last reported something as running, in Unix seconds of this server.

    `skew` is by how many seconds its clock is ahead of this one's.
    """

    time: float
    machine: str
    skew: float

    def to_json(self, now: float) -> dict[str, Any]:
        """The field `heard` of a record or an experiment."""
        is_shown = abs(self.skew) > SKEW
        return {
            "age": round(max(0.0, now - self.time), 1),
            "machine": self.machine,
            "skew": round(self.skew, 1) if is_shown else None,
        }


class Reports:
    """The latest report on each opening and each experiment.

    Args:
        own: the folder of the server's own files.
        is_collector: whether what runs, runs on other machines.
    """

    def __init__(self, own: Path, *, is_collector: bool) -> None:
        self.is_collector = is_collector
        self._folder = own / FOLDER
        self._lock = threading.Lock()
        self._by_machine: dict[str, dict[Subject, Heard]] = {}
        self._by_subject: dict[Subject, Heard] = {}
        self._read()

    def of_record(self, prefix: str, openings: Iterable[str]) -> Heard | None:
        """The latest report on one of these openings of a record."""
        return self._latest((prefix, opening) for opening in openings)

    def of_experiment(self, owner: str, home: str, experiment_id: str) -> Heard | None:
        """The latest report on an experiment."""
        return self._latest([(owner, home, experiment_id)])

    def _latest(self, subjects: Iterable[Subject]) -> Heard | None:
        found = [heard for subject in subjects if (heard := self._by_subject.get(subject)) is not None]
        return max(found, default=None)

    def add(self, machine: str, host: str, subjects: Iterable[Subject], *, skew: float) -> None:
        """Keep a report; on a full disk only in memory.

        Args:
            machine: its host and its boot id as one text.
            host: its name for people.
            subjects: what it sees running.
            skew: of its clock.
        """
        now = time.time()
        heard = Heard(now, host, skew)
        with self._lock:
            if machine not in self._by_machine:
                self._forget_oldest(machine.partition("\n")[0])
            known = self._by_machine.pop(machine, {})  # the latest machines come last, too
            self._by_machine[machine] = known
            for subject in subjects:
                known.pop(subject, None)  # the latest ones come last
                known[subject] = self._by_subject[subject] = heard
            old = [subject for subject, each in known.items() if now - each.time > KEPT]
            for subject in [*old, *list(known)[: max(0, len(known) - MOST)]]:
                known.pop(subject, None)
                self._by_subject.pop(subject, None)
            self._write(machine, known)

    def _forget_oldest(self, user: str) -> None:
        """Forget machines of a user who has too many, so that no token can fill the memory or the disk."""
        own = [machine for machine in self._by_machine if machine.partition("\n")[0] == user]
        for machine in own[: max(0, len(own) + 1 - MOST_MACHINES)]:
            for subject, each in self._by_machine.pop(machine).items():
                if self._by_subject.get(subject) == each:
                    del self._by_subject[subject]
            with contextlib.suppress(OSError):
                self._path(machine).unlink()

    def _path(self, machine: str) -> Path:
        digest = hashlib.sha256(machine.encode(errors="surrogatepass")).hexdigest()
        return self._folder / f"{digest[:32]}.json"

    def _write(self, machine: str, known: dict[Subject, Heard]) -> None:
        document = {
            "format": HEARD_FORMAT,
            "machine": machine,
            "heard": [[*subject, *each] for subject, each in known.items()],
        }
        try:
            make_folder(self._folder)
            write_whole(self._path(machine), json.dumps(document).encode())
        except OSError:
            return

    def _read(self) -> None:
        try:
            paths = sorted(self._folder.glob("*.json"))
        except OSError:
            return
        for path in paths:
            try:
                document = parsed_object(read_bytes(path, limit=LARGEST, follows_link=False), is_strict=False)
                machine = str(document["machine"])
                for *subject, when, host, skew in document["heard"]:
                    heard = Heard(float(when), str(host), float(skew))
                    self._by_machine.setdefault(machine, {})[tuple(map(str, subject))] = heard
            except (
                OSError,
                RefusedFileError,
                ValueError,
                LookupError,
                TypeError,
                ArithmeticError,
                RecursionError,
            ):
                continue  # reports that cannot be read are like none
        for known in self._by_machine.values():
            for subject, heard in known.items():
                self._by_subject[subject] = max(heard, self._by_subject.get(subject, heard))


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoint."""
    del site
    return [Endpoint("/v1/heard", ("POST",), _heard, needs=Scope.WRITE)]


def reports_of(request: Request) -> Reports:
    """The reports of the server that answers a request."""
    state = request.app.state
    if not hasattr(state, "reports"):
        state.reports = Reports(state.site.own, is_collector=state.site.root is not None)
    reports: Reports = state.reports
    return reports


async def _heard(request: Request) -> Response:
    """Keep what a sender sees running."""
    now = time.time()
    data = await request.body()
    try:
        answered = await run_in_threadpool(_kept, request, data, now)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return refusal(400, "malformed", f"the body is not a report of what is running: {error}")
    return JSONResponse(answered)


def _kept(request: Request, data: bytes, now: float) -> dict[str, Any]:
    """Keep a report; returns the answer."""
    report = parsed_object(data)
    machine = report["machine"]
    host, boot = _name(machine["host"]), _name(machine.get("boot") or "unknown")
    alive = _subjects(report.get("alive", []), 2)
    supervised = _subjects(report.get("supervised", []), 3)
    skew = _unix(report["time"]) - now
    caller: Caller = request.state.caller
    access: Access = request.app.state.access
    own = [
        *(subject for subject in alive if access.may_write(caller, subject[0])),
        *(subject for subject in supervised if access.may_write(caller, "/".join(subject))),
    ]
    reports_of(request).add(f"{caller.user}\n{host}\n{boot}", host, own, skew=skew)
    return {
        "format": HEARD_FORMAT,
        "time": clock.stamp(now),
        "skew": round(skew, 3),
        "kept": len(own),
        "refused": len(alive) + len(supervised) - len(own),
    }


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise ValueError("the machine has no name")
    return value


def _unix(value: Any) -> float:
    """A time as Unix seconds, given so or as a stamp."""
    seconds = clock.unix(value) if isinstance(value, str) else float(value)
    if not abs(seconds) < 1e12:  # noqa: PLR2004 - far beyond any date, and no NaN
        raise ValueError("its time is no date")
    return seconds


def _subjects(value: Any, count: int) -> list[Subject]:
    if not isinstance(value, list) or len(value) > MOST:
        raise ValueError(f"a list of at most {MOST} is needed")
    subjects = [tuple(each) for each in value]
    if not all(len(each) == count and all(isinstance(part, str) for part in each) for each in subjects):
        raise ValueError(f"each entry has {count} texts")
    return subjects
