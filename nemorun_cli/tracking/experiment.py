"""The class that training code uses: an experiment's record, open or closed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeVar

from nemorun_cli.errors import InvalidValueError, NotFoundError, StateError
from nemorun_cli.model import tracking_switch
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking import arguments, assignments, foreign_calls
from nemorun_cli.tracking.foreign_calls import ForeignName
from nemorun_cli.tracking.lifecycle import Lifecycle
from nemorun_cli.tracking.logs import Logs
from nemorun_cli.tracking.metrics import Metrics
from nemorun_cli.tracking.params import Params
from nemorun_cli.tracking.process import console, exit_hooks
from nemorun_cli.tracking.store import record_paths
from nemorun_cli.tracking.store.record_paths import Place
from nemorun_cli.tracking.store.row_writer import Writer
from nemorun_cli.tracking.store.sessions import RESUME, ids, read_all, status_of
from nemorun_cli.tracking.timestamps import Timestamps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nemorun_cli.tracking.files import Files
    from nemorun_cli.tracking.outbox.shipping import Shipping
    from nemorun_cli.tracking.store.sessions import Session
    from nemorun_cli.tracking.tracks import Tracks

Result = TypeVar("Result")

DEFAULT_ROOT: Final = ".dash"
ARGUMENTS: Final = (
    *("prefix", "dash_root", "dash_url", "description", "readme", "tags", "bindrs", "metadata", "resume"),
    "print_logs",
)
_NO_TEXT: Final = object()  # `log()` without a message
# Argument names of ML-Dash and its older versions that are different here.
_RENAMED: Final = {
    "name": "prefix",
    "project": "prefix",
    "folder": "prefix",
    "local_path": "dash_root",
    "local_prefix": "dash_root",
    "remote": "dash_url",
}


@foreign_calls.refusing_names
class Experiment:
    """The record of one program, under a prefix.

        with Experiment(prefix="alice/vision/resnet", dash_root=".dash").run as experiment:
            experiment.params.set(learning_rate=0.001)
            experiment.metrics("train").log(loss=0.5, epoch=1)

    Nothing is written before `run` starts it. A record can be read without opening it. Inside a task of
    `exp run`, every argument has a default: the task's own record.

    Args:
        path: the prefix, without its name: `Experiment("owner/project/name")`.
        prefix: owner/project/…/name; `{user}`, `{script}`, `{date}`, `{time}` and `{id}` are filled in.
            Default: that of the task, and outside of a task `{user}/{script}/{date}-{time}-` and four
            hexadecimal digits, which is printed when the record is opened.
        dash_root: the folder of all records; made absolute at once. Default: `$EXP_DASH_ROOT`, else `.dash`.
            None, with a server, keeps the record in `$NEMORUN_HOME/outbox` until the server has it.
        dash_url: the address of a server of `exp serve`, which gets a copy of the record; True for
            `$EXP_DASH_URL`, else the server of the latest `exp login`. Default: that of the task, else none.
        description: a text to display; `readme` is ML-Dash's name for it.
        tags: words to find it by.
        bindrs: ML-Dash's name for what it is bound to.
        metadata: other data, as a mapping.
        resume: whether the record may (`allow`), must (`must`) or must not (`never`) exist already.
        print_logs: whether `log` also prints.

    Raises:
        TypeError: an argument is unknown, and the message names the closest one; or this is a call of
            NeMo-Run's Experiment, and the message shows what to write.
        InvalidValueError: the prefix could leave the root, or has no owner on the server; `dash_url` is no
            address of a server; or `$EXP_TRACKING` is neither `on` nor `off`.
    """

    add = ForeignName("nemorun_cli.nemo.Experiment(title).add(task), or Builder(title).add(task)")
    dryrun = ForeignName("nemorun_cli.nemo.Experiment(title).dryrun(), or Builder(title).dryrun()")
    cancel = ForeignName('nemorun_cli.find(name).cancel(["task"]); experiment.run.cancel() ends a record')
    reset = ForeignName("nemorun_cli.nemo.Experiment.from_title(title).reset(), or `exp rerun`")
    tasks = ForeignName("nemorun_cli.find(name).status().tasks")
    from_id = ForeignName("nemorun_cli.nemo.Experiment.from_id(id), or nemorun_cli.find(id)")
    from_title = ForeignName("nemorun_cli.nemo.Experiment.from_title(title), or nemorun_cli.find(name)")
    catalog = ForeignName("nemorun_cli.nemo.Experiment.catalog(title), or `exp list`")

    resume: str
    description: str | None
    metadata: Mapping[str, Any] | None
    bindrs: Any  # a list of texts, or None

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        /,
        *,
        prefix: str | os.PathLike[str] | None = None,
        dash_root: str | os.PathLike[str] | None = "",
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
            raise unknown_argument(next(iter(unknown)), ARGUMENTS)
        if path is not None and prefix is not None:
            raise TypeError("the prefix is given twice: by its name, and without")
        if isinstance(path, str) and foreign_calls.is_title(path):
            raise foreign_calls.titled(path)
        prefix = path if prefix is None else prefix
        if description is not None and readme is not None:
            raise TypeError("description and readme are two names of one argument: pass only one")
        if not isinstance(print_logs, bool):
            raise TypeError(f"print_logs is True or False, not {shown(print_logs)}")
        self.resume = resume
        self.description = description if description is not None else readme
        self.tags = tags
        self.bindrs = bindrs
        self.metadata = metadata
        shipping = _shipping_to(dash_url)
        if dash_root is None and shipping is not None:
            dash_root = shipping.own_root()
        if dash_root is None or dash_root == "":
            dash_root = os.environ.get("EXP_DASH_ROOT") or DEFAULT_ROOT
        root = record_paths.absolute(dash_root, what="dash_root")
        prefix = task_prefix() if prefix is None else prefix
        self._is_announced = prefix is not None  # the program, or its task, knows it
        kind, writer = _kinds()
        place = record_paths.place(
            root, record_paths.default_prefix(root) if prefix is None else prefix, kind=kind
        )
        if shipping is not None:
            shipping.check(place.prefix)
            shipping.is_new = prefix is None
        self._set_up(place, writer(), prints=print_logs, shipping=shipping)

    @classmethod
    def at(cls, place: Place) -> Self:
        """The record at a place, for commands and other readers; `EXP_TRACKING` does not matter to them."""
        self = cls.__new__(cls)
        self.resume = RESUME[0]
        self.description = self.tags = self.bindrs = self.metadata = None
        self._is_announced = True
        self._set_up(place, Writer(), prints=True, shipping=None)
        return self

    def _set_up(self, place: Place, writer: Writer, *, prints: bool, shipping: Shipping | None) -> None:
        self.place = place
        self.writer = writer
        self._shipping = None if writer.is_off else shipping
        timestamps = Timestamps()
        self.metrics = Metrics(place, writer, timestamps)
        self.params = Params(place, writer)
        self.logs = Logs(place, writer, prints=prints)
        self._lifecycle: Lifecycle[Any] = Lifecycle(self)
        self._timestamps = timestamps
        self._tracks: Tracks | None = None
        self._files: Files | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign what has an effect; a class of a user may also have attributes of its own.

        Raises:
            TypeError: it would not be recorded; the message shows what to write.
        """
        if name == "resume" or name in assignments.DESCRIBING:
            self._describe("description" if name == "readme" else name, value)
            return
        is_set_up = "_lifecycle" in self.__dict__
        if is_set_up and name[:1] != "_" and (name in assignments.PARTS or assignments.is_own(self)):
            raise assignments.refused(self, name)
        super().__setattr__(name, value)

    def _describe(self, name: str, value: Any) -> None:
        """Set one of the arguments that are stored with each opening, or `resume`."""
        lifecycle = self.__dict__.get("_lifecycle")
        if name != "resume" and lifecycle is not None and lifecycle.last_status is not None:
            raise assignments.refused_late(name, self.prefix)
        plain_value = arguments.checked(name, value)
        if name == "tags":
            self._tags: list[str] | None = plain_value
            self._later_tags: list[str] | None = None
            return
        if name == "bindrs":
            self._bindrs: list[str] | None = plain_value
            plain_value = self._shown_bindrs()
        super().__setattr__(name, plain_value)

    def _shown_bindrs(self) -> list[str] | None:
        """The attribute `bindrs`."""
        return self._bindrs

    @property
    def tags(self) -> list[str] | None:
        """The tags that were declared; after `tag()`, those that the record has."""
        tags = self._tags if self._later_tags is None else self._later_tags
        lifecycle = self.__dict__.get("_lifecycle")
        if tags is None or lifecycle is None or lifecycle.last_status is None:
            return tags
        return assignments.OpenedTags(tags)

    @tags.setter
    def tags(self, tags: Sequence[str] | None) -> None:
        self._describe("tags", tags)

    def __repr__(self) -> str:
        return f"<Experiment {self.prefix!r} in {self.place.root!r}{', open' if self.run.is_open else ''}>"

    @property
    def run(self) -> Lifecycle[Self]:
        """The life cycle of the record: `with experiment.run`, or `experiment.run.start()`."""
        return self._lifecycle

    def __enter__(self) -> NoReturn:
        raise foreign_calls.entered(type(self).__name__)

    def __exit__(self, *_: object) -> None:
        """Needed to reach the message of `__enter__`."""

    @property
    def prefix(self) -> str:
        """The path of the record under `dash_root`."""
        return self.place.prefix

    @property
    def dash_root(self) -> str:
        """The folder of all records, absolute."""
        return self.place.root

    @property
    def dash_url(self) -> str | None:
        """The address of the server that gets a copy of the record; None without one."""
        return None if self._shipping is None else self._shipping.url

    @property
    def shipping(self) -> Shipping | None:
        """How a copy of the record reaches the server; None without one."""
        return self._shipping

    @property
    def owner(self) -> str | None:
        """The first part of the prefix, if it has several."""
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
        """The id of the current opening; None while the record is not open."""
        return self.run.opening

    @property
    def readme(self) -> str | None:
        """ML-Dash's name for the description."""
        return self.description

    @readme.setter
    def readme(self, text: str | None) -> None:
        self._describe("description", text)

    @property
    def about(self) -> dict[str, Any]:
        """The arguments that are stored with each opening."""
        return {
            "description": self.description,
            "tags": self._tags,
            "bindrs": self._bindrs,
            "metadata": self.metadata,
        }

    @property
    def files(self) -> Files:
        """Saved files: `files("models").save(…)`."""
        if self._files is None:
            from nemorun_cli.tracking.files import Files  # noqa: PLC0415 - its imports are slow, and not all programs save files

            self._files = Files(self.place, self.writer)
        return self._files

    @property
    def tracks(self) -> Tracks:
        """Rows with a time: `tracks("robot/pose").append(x=…)`."""
        if self._tracks is None:
            from nemorun_cli.tracking.tracks import Tracks  # noqa: PLC0415 - the same

            self._tracks = Tracks(self.place, self.writer, self._timestamps)
        return self._tracks

    def move(self, prefix: str | os.PathLike[str]) -> None:
        """Use another prefix, before the record is opened.

        Raises:
            StateError: the record is open.
            InvalidValueError: the prefix could leave the root, or has no owner on the server.
        """
        if self.run.is_open:
            raise StateError(
                f"the record {self.prefix!r} is open, so its prefix cannot change",
                hint="set experiment.run.prefix before `with experiment.run` or experiment.run.start()",
            )
        moved = record_paths.check_prefix(record_paths.expand(record_paths.as_text(prefix, what="prefix")))
        if self._shipping is not None:
            self._shipping.check(moved)
            self._shipping.is_new = False
        self.place.move(moved)
        self._is_announced = True
        self._lifecycle.last_status = None  # that of the former record
        self.metrics.move()
        if self._tracks is not None:
            self._tracks.move()

    def log(
        self,
        /,
        message: object = _NO_TEXT,
        level: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **extra: Any,
    ) -> None:
        """Write a line to the record's log, and print it unless printing is off.

        Args:
            message: the text.
            level: debug, info (the default), warn, error or fatal.
            metadata: values stored with the line.
            extra: additional values, by name.

        Raises:
            StateError: the record is not open.
            TypeError: a mapping is given, or no message: `metrics.log` records numbers.
        """
        if message is _NO_TEXT or isinstance(message, Mapping):
            raise foreign_calls.logged(extra if message is _NO_TEXT else message)
        self.logs.write(level or "info", message, {**metadata, **extra} if metadata else extra)

    def tag(self, add: str | Sequence[str] = (), remove: str | Sequence[str] = ()) -> list[str]:
        """Add and remove tags of the record, open or not; returns the tags that it has then.

        They hold across later openings, whatever tags these declare.

        Raises:
            NotFoundError: there is no record yet.
            StateError: it is open, and its folder was moved or removed.
            InvalidValueError: a tag cannot be added, or none is given.
        """
        from nemorun_cli.model import labels  # noqa: PLC0415 - few programs tag their record
        from nemorun_cli.system import user  # noqa: PLC0415 - the same
        from nemorun_cli.tracking import label_rules  # noqa: PLC0415 - the same
        from nemorun_cli.tracking.store import record_labels  # noqa: PLC0415 - the same

        change = label_rules.tag_change(add, remove)
        if self.writer.is_off:
            tags = labels.current(self.tags or [], [change])
        else:
            self._require_record()
            tags = record_labels.retag(self.place, change, by=user.author())
            self._changed()
        self._later_tags = list(tags)
        return tags

    def note(self, text: str) -> None:
        """Add a note to the record, open or not.

        Raises:
            NotFoundError: there is no record yet.
            StateError: it is open, and its folder was moved or removed.
            InvalidValueError: it is empty, or longer than 1 MiB.
        """
        from nemorun_cli.system import user  # noqa: PLC0415 - few programs note
        from nemorun_cli.tracking import label_rules  # noqa: PLC0415 - the same
        from nemorun_cli.tracking.store import record_labels  # noqa: PLC0415 - the same

        checked = label_rules.note_text(text)
        if not self.writer.is_off:
            self._require_record()
            record_labels.note(self.place, checked, by=user.author())
            self._changed()

    def _changed(self) -> None:
        """Have a change shipped that came after the end; while the record is open, all is shipped."""
        if not self.run.is_open:
            from nemorun_cli.tracking.outbox import changes  # noqa: PLC0415 - few programs change a record later

            changes.changed(self.place)

    def _require_record(self) -> None:
        if self.run.is_open:
            self.writer.require_present()
        elif not ids(self.place):
            raise NotFoundError(
                f"there is no record at {self.prefix!r} in {self.dash_root} yet",
                hint="open it first: with experiment.run",
            )

    def should_stop(self) -> bool:
        """Whether this program was asked to stop: by the `stop` of its task, a cancel or a time limit.

        From the first call, which has to be in the main thread, the stop signal (SIGTERM, or the task's
        `stop_signal`) no longer ends the program: call this in each step, then save and end. After the task's
        `stop_grace`, 10 s by default, it is killed.
        """
        return exit_hooks.is_stop_requested()

    def flush(self) -> Experiment:
        """Do nothing, as nothing is buffered on disk; exists for compatibility with ML-Dash."""
        return self

    def sync(self, timeout: float | None = None) -> bool:
        """Wait until the server has all that is written now, then get what it has of other machines.

        The record need not be open, nor be on this machine before.

        Returns whether the server has all of it; also True with `EXP_TRACKING=off`, which writes nothing.

        Args:
            timeout: seconds to wait at most; None for as long as it takes, in a task for `$EXP_DRAIN`.

        Raises:
            InvalidValueError: the timeout is negative.
            StateError: the record has no server.
            NotFoundError: there is no record, neither here nor on the server, or the server does not answer.
        """
        seconds = arguments.seconds("timeout", timeout)
        if self.writer.is_off:
            return True
        if self._shipping is None:
            raise StateError(
                f"the record {self.prefix!r} has no server to sync with",
                hint='name it: Experiment(prefix, dash_url="https://…"), or dash_url=True',
            )
        if not self.run.is_open and not ids(self.place):  # it may be another machine's
            pulled = self._shipping.fetch(self.place, timeout=seconds)
            if not ids(self.place):
                raise self._shipping.absent(self.place, pulled)
            return True
        self._require_record()
        return self._shipping.sync(self.place, timeout=seconds)

    def openings(self) -> list[Session]:
        """All openings of the record, oldest first."""
        return read_all(self.place)[0]

    @property
    def status(self) -> str | None:
        """RUNNING, COMPLETED, FAILED or CANCELLED, as stored on disk; None if there is no record."""
        if self.writer.is_off:
            return self.run.last_status
        session = status_of(self.openings()) if ids(self.place) else None
        return str(session.status) if session else None

    def announce(self) -> None:
        """Print once where a record is whose prefix is a default, and the command that shows it."""
        if self._is_announced or self.writer.is_off:
            return
        self._is_announced = True
        console.show(sys.stderr, lambda: record_paths.as_command(self.place))


def _shipping_to(dash_url: str | bool | None) -> Shipping | None:  # noqa: FBT001 - the argument of a public class
    """How records are shipped to a server; None without one."""
    if not dash_url and not os.environ.get("EXP_TRACKING_URL"):
        return None
    from nemorun_cli.tracking.outbox import shipping  # noqa: PLC0415 - only programs with a server need it

    return shipping.of_experiment(dash_url)


def task_prefix() -> str | None:
    """The prefix of the enclosing task; None outside of one."""
    prefix, task = os.environ.get("EXP_PREFIX"), os.environ.get("EXP_TASK")
    return f"{prefix}/{task}" if prefix and task else prefix or None


def _kinds() -> tuple[type[Place], type[Writer]]:
    """The kinds of place and writer, as `$EXP_TRACKING` chooses.

    Raises:
        InvalidValueError: it has an unknown value.
    """
    switch = os.environ.get(tracking_switch.VARIABLE) or tracking_switch.VALUES[0]
    if switch not in tracking_switch.VALUES:
        raise InvalidValueError(
            f"{tracking_switch.VARIABLE} is {shown(switch)}",
            hint=f"the values are: {', '.join(tracking_switch.VALUES)}",
        )
    if switch != tracking_switch.OFF:
        return Place, Writer
    from nemorun_cli.tracking.store import discarded  # noqa: PLC0415 - rarely needed

    return discarded.DiscardedPlace, discarded.DiscardingWriter


def unknown_argument(name: str, known: Sequence[str]) -> TypeError:
    """The error for an argument that is not known; it names the closest one."""
    import difflib  # noqa: PLC0415 - only needed for an error

    if name in foreign_calls.NEMO_ARGUMENTS:
        return foreign_calls.argument(name)
    renamed = _RENAMED.get(name)
    similar = [renamed] if renamed else difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {similar[0]!r}?" if similar else f"there are: {', '.join(known)}"
    written = foreign_calls.REPLACED_ARGUMENTS.get(name)
    return TypeError(
        f"Experiment() has no argument {name!r} ({hint})" + (f". Write {written}" if written else "")
    )


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
        raise foreign_calls.decorated_without_call(prefix)
    for name in options:
        if name not in ARGUMENTS:
            raise unknown_argument(name, ARGUMENTS)

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        from nemorun_cli.tracking.decorator import wrap  # noqa: PLC0415 - it needs inspect, which is slow to import

        return wrap(function, lambda: Experiment(prefix=prefix, **options).run, params=params)

    return decorate
