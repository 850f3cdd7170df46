"""The class that training code uses: an experiment's record, open or closed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.tracking.lifecycle import Lifecycle
from nemorun_cli.tracking.logs import Logs
from nemorun_cli.tracking.metrics import Metrics
from nemorun_cli.tracking.params import Params
from nemorun_cli.tracking.store import record_paths
from nemorun_cli.tracking.store.json_values import plain
from nemorun_cli.tracking.store.row_files import Writer
from nemorun_cli.tracking.store.sessions import RESUME, ids, read_all, status_of
from nemorun_cli.tracking.timestamps import Timestamps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nemorun_cli.tracking.files import Files
    from nemorun_cli.tracking.store.sessions import Session
    from nemorun_cli.tracking.tracks import Tracks

DEFAULT_ROOT: Final = ".dash"
ARGUMENTS: Final = (
    *("prefix", "dash_root", "dash_url", "description", "readme", "tags", "bindrs", "metadata", "resume"),
    "print_logs",
)
# What ML-Dash and its older versions call things that have another name here.
_RENAMED: Final = {
    "name": "prefix",
    "project": "prefix",
    "folder": "prefix",
    "local_path": "dash_root",
    "local_prefix": "dash_root",
    "remote": "dash_url",
}


class Experiment:
    """The record of one program, under a prefix.

        with Experiment(prefix="alice/vision/resnet", dash_root=".dash").run as experiment:
            experiment.params.set(learning_rate=0.001)
            experiment.metrics("train").log(loss=0.5, epoch=1)

    Nothing is written before `run` starts it. A record that is not open can be read. Inside a task of `exp
    run` every argument has a default: the task's own record.

    Args:
        prefix: owner/project/…/name; `{user}`, `{date}`, `{time}` and `{id}` are filled in.
        dash_root: the folder of all records; made absolute at once. Default: `$EXP_DASH_ROOT`, else `.dash`.
        dash_url: a server; not supported yet.
        description: what this is, for people; `readme` is ML-Dash's name for it.
        tags: words to find it by.
        bindrs: what it is bound to.
        metadata: anything else, as a mapping.
        resume: whether the record may (`allow`), must (`must`) or must not (`never`) be there already.
        print_logs: whether `log` prints as well.

    Raises:
        TypeError: an argument is not known; the nearest one is named.
        UsageError: the prefix could leave its place, or there is none.
    """

    def __init__(
        self,
        prefix: str | os.PathLike[str] | None = None,
        *,
        dash_root: str | os.PathLike[str] | None = None,
        dash_url: str | bool | None = None,
        description: str | None = None,
        readme: str | None = None,
        tags: Sequence[str] | None = None,
        bindrs: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        resume: str = "allow",
        print_logs: bool = True,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise _unknown_argument(next(iter(unknown)))
        if dash_url:
            raise UsageError(
                "dash_url: there is no remote mode yet, records are kept on this machine",
                hint="leave dash_url out and say where with dash_root",
            )
        if resume not in RESUME:
            raise UsageError(f"resume is one of {', '.join(RESUME)}, not {resume!r}")
        if description is not None and readme is not None:
            raise TypeError("description and readme are two names for one thing: give one of them")
        self.place = record_paths.place(
            dash_root or os.environ.get("EXP_DASH_ROOT") or DEFAULT_ROOT, prefix or _own_prefix()
        )
        self.resume = resume
        self.description = description if description is not None else readme
        self.tags = _texts("tags", tags)
        self.bindrs = _texts("bindrs", bindrs)
        self.metadata = None if metadata is None else plain(metadata, "metadata")
        self.writer = Writer()
        moments = Timestamps()
        self.metrics = Metrics(self.place, self.writer, moments)
        self.params = Params(self.place, self.writer)
        self.logs = Logs(self.place, self.writer, prints=print_logs)
        self.run: Lifecycle[Experiment] = Lifecycle(self)
        self._moments = moments
        self._tracks: Tracks | None = None
        self._files: Files | None = None

    def __repr__(self) -> str:
        return f"<Experiment {self.prefix!r} in {self.place.root!r}{', open' if self.run.is_open else ''}>"

    @property
    def prefix(self) -> str:
        """Where the record lies under `dash_root`."""
        return self.place.prefix

    @property
    def dash_root(self) -> str:
        """The folder of all records, absolute."""
        return self.place.root

    @property
    def owner(self) -> str | None:
        """The first part of the prefix, if there are several."""
        return self.prefix.split("/")[0] if "/" in self.prefix else None

    @property
    def project(self) -> str | None:
        """The second part of the prefix."""
        return self.prefix.split("/")[1] if "/" in self.prefix else None

    @property
    def name(self) -> str:
        """The last part of the prefix."""
        return self.prefix.rpartition("/")[2]

    @property
    def id(self) -> str | None:
        """The id of the present opening; None while the record is not open."""
        return self.run.opening

    @property
    def readme(self) -> str | None:
        """ML-Dash's name for the description."""
        return self.description

    @property
    def about(self) -> dict[str, Any]:
        """What is kept of the arguments with each opening."""
        return {
            "description": self.description,
            "tags": self.tags,
            "bindrs": self.bindrs,
            "metadata": self.metadata,
        }

    @property
    def files(self) -> Files:
        """Saved files: `files("models").save(…)`."""
        if self._files is None:
            from nemorun_cli.tracking.files import Files  # noqa: PLC0415 - hashing costs imports; not all save files

            self._files = Files(self.place, self.writer)
        return self._files

    @property
    def tracks(self) -> Tracks:
        """Rows with a time each: `tracks("robot/pose").append(x=…)`."""
        if self._tracks is None:
            from nemorun_cli.tracking.tracks import Tracks  # noqa: PLC0415 - the same

            self._tracks = Tracks(self.place, self.writer, self._moments)
        return self._tracks

    def log(
        self,
        message: object,
        level: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **extra: Any,
    ) -> None:
        """Write a line to the record's log, and print it unless that was turned off.

        Args:
            message: the text.
            level: debug, info (the default), warn, error or fatal.
            metadata: values that belong to it.
            extra: more of them.

        Raises:
            StateError: the record is not open.
        """
        self.logs.write(level or "info", message, {**metadata, **extra} if metadata else extra)

    def flush(self) -> Experiment:
        """Nothing is ever held back, so there is nothing to do; kept for ML-Dash's sake."""
        return self

    def openings(self) -> list[Session]:
        """Every opening of the record, the oldest first."""
        return read_all(self.place)[0]

    @property
    def status(self) -> str | None:
        """RUNNING, COMPLETED, FAILED or CANCELLED as it is on disk; None where there is no record."""
        told = status_of(self.openings()) if ids(self.place) else None
        return str(told.status) if told else None


def _own_prefix() -> str:
    """The prefix of the task that this runs in."""
    prefix, task = os.environ.get("EXP_PREFIX"), os.environ.get("EXP_TASK")
    if not prefix:
        raise UsageError(
            "a prefix is needed outside of a task of `exp run`",
            hint='Experiment(prefix="owner/project/name")',
        )
    return f"{prefix}/{task}" if task else prefix


def _texts(what: str, given: Sequence[str] | None) -> list[str] | None:
    if given is None:
        return None
    if isinstance(given, str) or not all(isinstance(text, str) for text in given):
        raise TypeError(f"{what} is a list of texts, not {given!r}")
    return list(given)


def _unknown_argument(name: str) -> TypeError:
    import difflib  # noqa: PLC0415 - needed only for a mistake

    near = [_RENAMED[name]] if name in _RENAMED else difflib.get_close_matches(name, ARGUMENTS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(ARGUMENTS)}"
    return TypeError(f"Experiment() has no argument {name!r} ({hint})")


def ml_dash_experiment(
    prefix: str | os.PathLike[str] | None = None, *, params: bool = False, **options: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: each call of the function runs with a record of its own open.

    The function gets it as `experiment` if it has a parameter of that name. Coroutines and generators keep it
    open until they are done.

    Args:
        prefix: as for `Experiment`.
        params: whether the arguments of the call become params.
        options: whatever else `Experiment` takes.
    """
    for name in options:
        if name not in ARGUMENTS:
            raise _unknown_argument(name)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        from nemorun_cli.tracking.decorator import wrap  # noqa: PLC0415 - it needs inspect, which is slow to import

        return wrap(function, lambda: Experiment(prefix, **options).run, params=params)

    return decorate
