"""`RUN`: ML-Dash's settings of the process, from which prefixes of experiments are made."""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
import time
from typing import Any, ClassVar, Final

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.tracking.process.process_info import user as current_user
from nemorun_cli.tracking.store.record_paths import TEMPLATES

DEFAULT_PREFIX: Final = "{project}/{now:%Y/%m-%d}/{path_stem}/{job_name}"
PROJECT_ROOT_FILES: Final = ("pyproject.toml", "requirements.txt", "setup.py", "setup.cfg")
MAX_ROUNDS: Final = 10  # of templates whose values are templates again
EPOCH_2024: Final = 1_704_067_200_000  # milliseconds, of the ids
INTERACTIVE: Final = "interactive"  # the path of a program that has no file, such as a notebook

_FIELD: Final = r"\{(?:(EXP|RUN)\.)?(\w+)(?::([^{}]*))?\}"
COMPUTED: Final = ("date", "datetime_str")
_OWN_NAMES: Final = (
    "date",
    "time",
    "id",
    "script",
)  # `{date}` is that of any prefix, `{EXP.date}` that of RUN


class _Settings(type):
    """The class `RUN`: its attributes are defaults for the whole process, and others cannot be set."""

    def __setattr__(cls, name: str, value: Any) -> None:
        _require_known(name)
        super().__setattr__(name, value)

    @property
    def date(cls) -> str:
        """The day of `now`, such as 20260131."""
        return _date(cls.now)

    @property
    def datetime_str(cls) -> str:
        """The day and time of `now`, such as 20260131.235959."""
        return _datetime_str(cls.now)

    now: dt.datetime


class RUN(metaclass=_Settings):
    """The settings of the process: `RUN.project = "alice/vision"`, before experiments are made.

    An instance has these settings, or those that are given, and a prefix without templates; the settings of
    an experiment are attributes of `experiment.run`. `$ML_DASH_PREFIX` and `$ML_DASH_USER` are the defaults
    of `prefix` and `user`.
    """

    user: ClassVar[Any] = os.environ.get("ML_DASH_USER") or current_user()
    api_url: ClassVar[Any] = os.environ.get("ML_DASH_API_URL")
    project: ClassVar[Any] = "{user}/scratch"
    prefix: ClassVar[Any] = os.environ.get("ML_DASH_PREFIX") or DEFAULT_PREFIX
    readme: ClassVar[Any] = None
    id: ClassVar[Any] = None
    now: ClassVar[Any] = dt.datetime.now()  # noqa: DTZ005 - local time, as in ML-Dash
    timestamp: ClassVar[Any] = None
    project_root: ClassVar[Any] = None
    entry: ClassVar[Any] = None
    path_stem: ClassVar[Any] = None
    job_counter: ClassVar[Any] = 0
    job_name: ClassVar[Any] = "{now:%H.%M.%S}/{job_counter:03d}"
    debug: ClassVar[Any] = "pydevd" in sys.modules
    owner: ClassVar[Any] = None
    name: ClassVar[Any] = None

    def __init__(self, **given: Any) -> None:
        for name in given:
            _require_known(name)
        values = {name: getattr(RUN, name) for name in FIELDS} | given
        if values["entry"] is None:
            values["entry"] = getattr(sys.modules.get("__main__"), "__file__", None)
        entry = values["entry"]
        values["project_root"] = str(values["project_root"] or find_project_root(entry))
        values["path_stem"] = values["path_stem"] or _stem(entry, values["project_root"])
        if isinstance(RUN.job_counter, int):
            RUN.job_counter += 1
        self.__dict__.update(values, _given=values)
        self.set_prefix(values["prefix"])

    @property
    def date(self) -> str:
        """The day of `now`, such as 20260131."""
        return _date(self.now)

    @property
    def datetime_str(self) -> str:
        """The day and time of `now`, such as 20260131.235959."""
        return _datetime_str(self.now)

    def set_prefix(self, template: str | os.PathLike[str]) -> None:
        """Fill in a template and use the result as the prefix, of which owner, project and name are parts.

        Raises:
            InvalidValueError: a name in it is unknown or has no value.
        """
        prefix = self.filled(os.fspath(template))
        parts = prefix.split("/")
        self.__dict__["prefix"] = prefix
        if len(parts) > 1:
            self.__dict__.update(owner=parts[0], project=parts[1], name=parts[-1])

    def filled(self, template: str) -> str:
        """The template with its names filled in.

        `{project}` is the setting, which may be a template again; `{EXP.project}` or `{RUN.project}` is that
        part of the current prefix.

        Raises:
            InvalidValueError: a name in it is unknown or has no value.
        """
        text = template
        for _ in range(MAX_ROUNDS):
            if not re.search(_FIELD, text):
                break
            try:
                text = re.sub(_FIELD, self._value, text)
            except InvalidValueError as error:
                raise InvalidValueError(f"prefix {template!r}: {error.message}") from None
        if "{" in text or "}" in text:
            raise InvalidValueError(
                f"prefix {template!r}: unmatched brace, or a template that contains itself"
            )
        return text.strip("/")

    def _value(self, match: re.Match[str]) -> str:
        scope, name, form = match[1], match[2], match[3] or ""
        if scope is None and name in _OWN_NAMES:
            return TEMPLATES[name]()
        if name not in FIELDS and (scope is None or name not in COMPUTED):
            known = " ".join(f"{{{field}}}" for field in (*FIELDS, *_OWN_NAMES))
            raise InvalidValueError(f"there is no template {match[0]} (there are: {known})")
        if name == "id" and self.id is None:
            self.__dict__["id"] = new_id()
        value = self.__dict__["_given"][name] if scope is None else getattr(self, name)
        if value is None:
            raise InvalidValueError(f"the template {match[0]} has no value: set RUN.{name}")
        try:
            return format(value, form)
        except ValueError as error:
            raise InvalidValueError(f"the template {match[0]} cannot be filled in: {error}") from None


FIELDS: Final = tuple(RUN.__annotations__)


def _require_known(name: str) -> None:
    """Raise for a name that is not a setting."""
    if name in FIELDS or name.startswith("__"):
        return
    import difflib  # noqa: PLC0415 - only needed for an error

    similar = difflib.get_close_matches(name, FIELDS, 1)
    hint = f"did you mean {similar[0]!r}?" if similar else f"there are: {', '.join(FIELDS)}"
    raise TypeError(f"RUN has no setting {name!r} ({hint})")


def _date(moment: dt.datetime) -> str:
    return f"{moment:%Y%m%d}"


def _datetime_str(moment: dt.datetime) -> str:
    return f"{moment:%Y%m%d.%H%M%S}"


def new_id() -> int:
    """A number that grows with time, unique on this machine: milliseconds since 2024, and 22 random bits."""
    moment = int(time.time() * 1000) - EPOCH_2024
    return (moment << 22) | (int.from_bytes(os.urandom(3)) & 0x3FFFFF)


def find_project_root(start: str | os.PathLike[str] | None = None, *, verbose: bool = False) -> str:
    """The nearest folder above that contains a pyproject.toml, requirements.txt, setup.py or setup.cfg.

    Args:
        start: a file, or the folder to begin with; default the working folder.
        verbose: not used; exists for compatibility with ML-Dash.
    """
    del verbose
    folder = os.path.abspath(os.fspath(start) if start is not None else ".")
    folder = os.path.dirname(folder) if os.path.isfile(folder) else folder
    while True:
        if any(os.path.exists(f"{folder}/{name}") for name in PROJECT_ROOT_FILES):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return os.getcwd()
        folder = above


def _stem(entry: str | os.PathLike[str] | None, root: str) -> str:
    """The path of the program below the root of its project, without its ending."""
    if entry is None:
        return INTERACTIVE
    path = os.path.relpath(os.path.abspath(os.fspath(entry)), root)
    path = os.path.basename(path) if path.startswith("..") else path
    return os.path.splitext(path)[0]
