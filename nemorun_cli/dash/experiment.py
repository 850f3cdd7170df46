"""ML-Dash's `Experiment` and decorator: tracking with its arguments and the prefixes of `RUN`."""

from __future__ import annotations

import contextlib
import os
import warnings
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from nemorun_cli.dash.run import COMPUTED, DEFAULT_PREFIX, FIELDS, RUN
from nemorun_cli.tracking import experiment as tracked
from nemorun_cli.tracking.foreign_calls import decorated_without_call, refuse_name
from nemorun_cli.tracking.lifecycle import Lifecycle
from nemorun_cli.tracking.params import Params

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from nemorun_cli.dash.bindrs import Bindrs
    from nemorun_cli.dash.log import LogBuilder
    from nemorun_cli.dash.saved_files import DashFiles

SETTINGS: Final = tuple(name for name in FIELDS if name not in {"prefix", "readme", "owner", "name"})
ARGUMENTS: Final = (*tracked.ARGUMENTS, "remote", "local_path", *SETTINGS)
ParametersBuilder: Final = Params
_REMOTE: Final = ("job_lifecycle", "managed")

Owner = TypeVar("Owner", bound="Experiment")
Result = TypeVar("Result")


class OperationMode(Enum):
    """Where records are stored: on this machine, on a server, or on both."""

    LOCAL = "local"
    REMOTE = "remote"
    HYBRID = "hybrid"


class RunLifecycle(Lifecycle[Owner], Generic[Owner]):
    """The life cycle of a record, with the settings of its experiment, such as `experiment.run.user`."""

    def __init__(self, experiment: Owner, settings: RUN) -> None:
        super().__init__(experiment)
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        if name in FIELDS or name in COMPUTED:
            return getattr(self._settings, name)
        refuse_name(type(self), name)
        raise AttributeError(f"experiment.run has no attribute {name!r}")

    def start(self) -> Owner:
        """Open the record: it is RUNNING. A prefix that nobody gave is that of `RUN`, as it is now."""
        if not self.is_open:
            self._experiment.follow_run()
        return super().start()


class Experiment(tracked.Experiment):
    """The record of one program, under a prefix, with the arguments of ML-Dash.

        with Experiment(prefix="alice/vision/resnet", dash_root=".dash").run as experiment:
            experiment.params.set(learning_rate=0.001)
            experiment.metrics("train").log(loss=0.5, epoch=1)

    Args:
        prefix: owner/project/…/name, with templates such as `{now:%Y-%m-%d}` and `{EXP.id}`; default
            `RUN.prefix`, and inside a task of `exp run` the task's own record.
        dash_root: the folder of all records; default `$EXP_DASH_ROOT`, else `.dash`. None, with a server,
            keeps the record in `$NEMORUN_HOME/outbox` until the server has it.
        dash_url: the address of a server of `exp serve`, which gets a copy of the record; True for
            `RUN.api_url`, else `$EXP_DASH_URL`, else the server of the latest `exp login`.
        readme: a text to display.
        description: another name of `readme`.
        tags: words to find it by.
        bindrs: the collections that it belongs to.
        metadata: other data, as a mapping.
        resume: whether the record may (`allow`), must (`must`) or must not (`never`) exist already.
        print_logs: whether `log` also prints.
        remote: the deprecated name of `dash_url`.
        local_path: the deprecated name of `dash_root`.
        settings: settings of `RUN` for this experiment, such as `user`, `project` and `entry`.

    Raises:
        TypeError: an argument is unknown; the message names the closest one.
        InvalidValueError: the prefix could leave the root, or has no owner on the server; or `dash_url` is no
            address of a server.
    """

    _lifecycle: RunLifecycle[Any]
    bindrs: Bindrs

    def __init__(
        self,
        prefix: str | os.PathLike[str] | None = None,
        *,
        dash_root: str | os.PathLike[str] | None = "",
        dash_url: str | bool | None = None,
        readme: str | None = None,
        description: str | None = None,
        tags: Sequence[str] | None = None,
        bindrs: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        resume: str = "allow",
        print_logs: bool = True,
        remote: str | bool | None = None,
        local_path: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        _check_names(settings, SETTINGS)
        if remote is not None:
            _warn("remote is deprecated: write dash_url")
        if local_path is not None:
            _warn("local_path is deprecated: write dash_root")
        self._is_given = bool(prefix)
        self._template = os.fspath(prefix or RUN.prefix or DEFAULT_PREFIX)
        self._settings = RUN(**settings, prefix=self._template)
        server = dash_url or remote
        super().__init__(
            prefix=self._first_prefix(),
            dash_root=dash_root or local_path or dash_root,
            dash_url=(RUN.api_url or True) if server is True else server,
            readme=readme,
            description=description,
            tags=tags,
            bindrs=bindrs,
            metadata=metadata,
            resume=resume,
            print_logs=print_logs,
        )
        self._lifecycle = RunLifecycle(self, self._settings)

    def _first_prefix(self) -> str | None:
        """The prefix that is given, or that of `RUN`; None for the record of the enclosing task.

        The task's own record has precedence only over a prefix that neither the program nor the user chose.
        """
        is_chosen = self._is_given or self._template != DEFAULT_PREFIX
        return None if os.environ.get("EXP_PREFIX") and not is_chosen else str(self._settings.prefix)

    def _shown_bindrs(self) -> Bindrs:
        from nemorun_cli.dash.bindrs import Bindrs  # noqa: PLC0415 - the module is named after its only user

        return Bindrs(self._bindrs or (), self)

    @property
    def run(self) -> RunLifecycle[Self]:
        """The life cycle of the record, and the settings of the experiment."""
        return self._lifecycle

    def follow_run(self) -> None:
        """Use the prefix of `RUN`, if it was set after an experiment without a prefix was made."""
        template = os.fspath(RUN.prefix or DEFAULT_PREFIX)
        if not self._is_given and self._template != template:
            self.move(template)
            self._template, self._is_given = template, False

    def move(self, prefix: str | os.PathLike[str]) -> None:
        """Use another prefix, which may have templates, before the record is opened.

        Raises:
            StateError: the record is open.
            InvalidValueError: the prefix could leave the root, or a name in a template is unknown.
        """
        super().move(self._settings.filled(os.fspath(prefix)))
        self._settings.set_prefix(self.prefix)
        self._is_given = True

    @property
    def project(self) -> str | None:
        """The second part of the prefix, or the argument `project`."""
        return super().project or self._settings.filled(self._settings.project)

    @property
    def data(self) -> None:
        """What ML-Dash's server knows of the experiment: nothing, as in its local mode."""
        return

    @property
    def mode(self) -> OperationMode:
        """Where the record is stored: on this machine, on a server, or on both."""
        if self.shipping is None:
            return OperationMode.LOCAL
        return OperationMode.REMOTE if self.dash_root == self.shipping.own_root() else OperationMode.HYBRID

    @property
    def files(self) -> DashFiles:
        """Saved files: `files("models").save(…)`."""
        from nemorun_cli.dash.saved_files import DashFiles  # noqa: PLC0415 - slow to import, and not all programs save files

        if not isinstance(self._files, DashFiles):
            self._files = DashFiles(self.place, self.writer)
        return self._files

    def log(  # type: ignore[override] # without a message, ML-Dash returns what builds a line
        self,
        /,
        message: object = None,
        level: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **extra: Any,
    ) -> LogBuilder | None:
        """Write a line to the record's log; without a message, return a builder (deprecated)."""
        if message is not None:
            super().log(message, level, metadata, **extra)
            return None
        from nemorun_cli.dash.log import LogBuilder  # noqa: PLC0415 - rarely used

        self.writer.require_open()
        _warn("log() without a message is deprecated: write experiment.logs.info(message)")
        return LogBuilder(self.logs, {**(metadata or {}), **extra})


def _check_names(given: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise for an argument that is not known.

    Raises:
        TypeError: the message names the closest one.
    """
    for name in given:
        if name in _REMOTE:
            raise TypeError(
                f"Experiment() has no argument {name!r}: it belongs to ML-Dash's own service."
                " Write dash_url, the address of a server of `exp serve`"
            )
        if name not in known:
            raise tracked.unknown_argument(name, ARGUMENTS)


def _warn(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        warnings.warn(text, DeprecationWarning, stacklevel=3)


def ml_dash_experiment(
    prefix: str | os.PathLike[str] | None = None, *, params: bool = False, **options: Any
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Return a decorator that opens a new record for each call of the function.

    The function receives it as `experiment` if it has a parameter of that name. For coroutines and
    generators it stays open until they finish.

    Args:
        prefix: as for `Experiment`.
        params: whether to record the arguments of the call as params.
        options: other arguments of `Experiment`.

    Raises:
        TypeError: it is used without parentheses, or an option is unknown.
    """
    if callable(prefix):
        raise decorated_without_call(prefix)
    _check_names(options, ARGUMENTS)

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        from nemorun_cli.tracking.decorator import wrap  # noqa: PLC0415 - it needs inspect, which is slow to import

        return wrap(function, lambda: Experiment(prefix, **options).run, params=params)

    return decorate
