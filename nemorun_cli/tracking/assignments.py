"""Assigning an attribute of an experiment or of its parts: it has an effect, or is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking.foreign_calls import ForeignName

if TYPE_CHECKING:
    from collections.abc import Iterable

_BEFORE: Final = "or pass it to Experiment() before the record is opened"
_PARAM: Final = "experiment.params.set({name}=…)"
_SERIES: Final = 'experiment.metrics("train").log({name}=0.5, step=1)'

_WRITTEN_WHILE_OPEN: Final = {
    "tags": f'experiment.tag(add="best"), {_BEFORE}',
    "description": f'experiment.note("…"), {_BEFORE}',
    "readme": f'experiment.note("…"), {_BEFORE}',
    "metadata": f"experiment.params.set(…), {_BEFORE}",
    "bindrs": 'experiment.tag(add="…"), or pass them to Experiment() before the record is opened',
}
_PREFIX: Final = 'experiment.run.prefix = "owner/project/name" before the record is opened'
_WRITTEN: Final = {
    **dict.fromkeys(("prefix", "name", "owner", "project", "id"), _PREFIX),
    "dash_root": 'Experiment(dash_root=".dash")',
    "dash_url": 'Experiment(dash_url="https://…")',
    "print_logs": "Experiment(print_logs=False)",
    "status": "experiment.run.complete(), fail(reason) or cancel()",
    "params": "experiment.params.set(lr=0.1), which also takes a mapping or a namespace",
    "metrics": 'experiment.metrics("train").log(loss=0.5, step=1)',
    "files": 'experiment.files("models").upload("model.pt")',
    "logs": "experiment.log(text)",
    "tracks": 'experiment.tracks("robot/pose").append(x=1.0)',
    "run": "`with experiment.run:`, or experiment.run.start()",
    "about": 'experiment.tag(add="best"), or experiment.note("…")',
}
PARTS: Final = frozenset(_WRITTEN)  # a class of a user cannot have them as its own
DESCRIBING: Final = frozenset(_WRITTEN_WHILE_OPEN)


WRITTEN_ON_A_RUN: Final = {**_WRITTEN, **_WRITTEN_WHILE_OPEN, "notes": 'experiment.note("a text")'}


class AssignmentError(TypeError, AttributeError):
    """An attribute was assigned that would not be recorded."""


class CheckedAttributes:
    """A part of an experiment, whose public attributes are only those that it sets itself."""

    settable: ClassVar[frozenset[str]] = frozenset()  # what may be assigned
    label: ClassVar[str] = "experiment"  # how a program gets the part
    written: ClassVar[str] = _PARAM  # what to write instead of assigning `{name}`

    def __setattr__(self, name: str, value: object) -> None:
        if name[:1] != "_" and name not in self.settable and is_own(self):
            refuse_foreign(self, name)
            raise AssignmentError(
                f"{self.label}.{name} cannot be assigned: it would not be recorded."
                f" Write {WRITTEN_ON_A_RUN.get(name) or self.written.format(name=name)}"
            )
        super().__setattr__(name, value)


def is_own(instance: object) -> bool:
    """Whether its class is of this package; that of a user may have attributes of its own."""
    return type(instance).__module__.startswith(f"{__package__.partition('.')[0]}.")


def refuse_foreign(instance: object, name: str) -> None:
    """Raise for a name of another library, which knows what to write instead."""
    for ancestor in type(instance).__mro__:
        if isinstance(foreign := vars(ancestor).get(name), ForeignName):
            foreign.__set__(instance, None)


def refused(instance: object, name: str) -> AssignmentError:
    """The error for an attribute of an experiment that has no effect."""
    refuse_foreign(instance, name)
    written = _WRITTEN.get(name)
    if written is None and callable(getattr(type(instance), name, None)):
        return AssignmentError(f"experiment.{name} is a method: call experiment.{name}(…)")
    if written is None:
        import difflib  # noqa: PLC0415 - only needed for an error

        similar = difflib.get_close_matches(name, {*DESCRIBING, *PARTS, "resume"}, 1, cutoff=0.75)
        hint = f" (did you mean {similar[0]!r}?)" if similar else ""
        written = f"{_PARAM.format(name=name)}, or {_SERIES.format(name=name)}"
        return AssignmentError(
            f"experiment has no attribute {name!r} to assign{hint}: it would not be recorded. Write {written}"
        )
    return AssignmentError(f"experiment.{name} cannot be assigned: write {written}")


def refused_late(name: str, prefix: str) -> AssignmentError:
    """The error for a description of the record that is assigned after it was opened."""
    return AssignmentError(
        f"experiment.{name} cannot be assigned: the record {shown(prefix)} was opened with what it had then."
        f" Write {_WRITTEN_WHILE_OPEN[name]}"
    )


class OpenedTags(list[str]):
    """The tags of a record that was opened: `append` and the like would change nothing that is stored."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise AssignmentError(
            'the tags of a record that was opened are changed with experiment.tag(add="best", remove="x")'
        )

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __imul__ = _refuse

    def __iadd__(self, other: Iterable[str]) -> list[str]:  # type: ignore[override, misc] # the assignment is refused
        return [*self, *other]

    def __reduce__(self) -> tuple[type[list[str]], tuple[list[str]]]:
        return list, (list(self),)
