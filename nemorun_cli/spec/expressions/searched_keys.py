"""Keys of a task that are no texts, such as `resources`, with expressions over the values of its trial.

Such a key is filled in as soon as the trial has its suggestion, so that it waits for what it really needs.
Other keys, such as `executor`, are filled in for all values when the spec is read: the variants of a trial.
"""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import units
from nemorun_cli.model.plain_text import text_of
from nemorun_cli.model.problems import shown
from nemorun_cli.spec.expressions.evaluate import TrialValues, fill
from nemorun_cli.spec.expressions.syntax import ROOTS, TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from nemorun_cli.model.spec import Task

    Reader = Callable[[Any], Any]

ANY_ITEM: Final = "*"  # in the place of an index
ANY_NAME: Final = "…"  # in the place of a name


def _number(value: Any, *, least: float, is_whole: bool = False) -> float:
    kind = "a whole number" if is_whole else "a number"
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or value < least or value > _MOST or (is_whole and value != int(value)):
        raise ValueError(f"must be {kind} from {least:g} on, not {shown(value)}")
    return int(value) if is_whole else value


def _real(value: Any, *, least: float) -> float:
    return float(_number(value, least=least))


def _count(least: int) -> Reader:
    return partial(_number, least=least, is_whole=True)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {shown(value)}")  # noqa: TRY004 - as for other values
    return value


def _text(value: Any) -> str:
    text = text_of(value)
    if not text or "\0" in text:
        raise ValueError(f"must be text that is not empty, not {shown(value)}")
    return text


def _signal(value: Any) -> str:
    name = str(value).removeprefix("SIG")
    if name not in _SIGNALS:
        raise ValueError(f"must be the name of a signal, not {shown(value)}")
    return name


_MOST: Final = 10**15
_SIGNALS: Final = ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "KILL", "ABRT", "ALRM", "CONT")
_ANY_NUMBER: Final[Reader] = partial(_real, least=-_MOST)

READERS: Final[Mapping[tuple[str, ...], Reader]] = {
    ("allow_failure",): _flag,
    ("artifacts", ANY_ITEM): _text,
    ("description",): _text,
    ("launcher", ANY_NAME, ANY_ITEM): _text,
    ("launcher", ANY_NAME, ANY_NAME): lambda value: value,  # its options are checked at points of the space
    ("resources", "cpus"): partial(_number, least=0.01),
    ("resources", "memory"): lambda value: units.size(text_of(value)),
    ("resources", "gpus"): _count(0),
    ("retry", "limit"): _count(0),
    ("retry", "delay"): units.duration,
    ("retry", "backoff"): partial(_real, least=1),
    ("retry", "max_delay"): units.duration,
    ("stop", ANY_ITEM, "above"): _ANY_NUMBER,
    ("stop", ANY_ITEM, "below"): _ANY_NUMBER,
    ("stop", ANY_ITEM, "patience"): _count(1),
    ("stop", ANY_ITEM, "min_delta"): partial(_real, least=0),
    ("stop_grace",): units.duration,
    ("stop_signal",): _signal,
    ("timeout",): units.timeout,
}
"""How the value of each such key becomes that of the field of a task."""


def field_keys(keys: tuple[str | int, ...]) -> tuple[str, ...] | None:
    """The keys in a task's fields for those below a task of a spec; None if no trial's values fit there."""
    parts = tuple(map(str, keys))
    if parts[:1] == ("stop",) and len(parts) == 2:  # noqa: PLR2004 - a condition that is no list
        parts = ("stop", "0", parts[1])
    return parts if _pattern(parts) in READERS else None


def is_read_later(pointer: str) -> bool:
    """Whether the field of a pointer is filled in with the suggestion, and decides no form of the trial."""
    return _pattern(tuple(pointer[1:].split("/"))) in READERS


def _pattern(keys: tuple[str, ...]) -> tuple[str, ...]:
    is_launcher = keys[:1] == ("launcher",)
    names = (ANY_NAME if is_launcher and number else key for number, key in enumerate(keys))
    return tuple(ANY_ITEM if key.isdigit() else name for key, name in zip(keys, names, strict=True))


def variant(task: Task, values: Mapping[str, Any]) -> Task:
    """The form of a trial with these values; raises TemplateError if the spec has none."""
    if task.variants is None:
        return task
    found = task.variants.of(values)
    if found is None:  # in a spec that another program wrote
        raise TemplateError(f"{task.group} has no variant for {shown(dict(values))}")
    return task.changed(found.fields)


def with_values(
    task: Task,
    values: Mapping[str, Any],
    *,
    names: Collection[str],
    params: Mapping[str, Any],
    env: Mapping[str, str],
) -> Task:
    """The task of a trial with these keys filled in; raises TemplateError if a value does not fit.

    Args:
        task: a trial.
        values: those of its suggestion.
        names: the params of its search.
        params: those of the spec.
        env: the spec's own variables.
    """
    known: dict[str, Any] = {root: {} for root in ROOTS}
    known |= {"search": TrialValues(values, names), "params": params, "env": env}
    fields: dict[str, Any] = {}
    for pointer, text in task.searched.items():
        keys = tuple(pointer[1:].split("/"))
        name, *rest = keys
        if (pattern := _pattern(keys)) not in READERS and task.variants is not None:
            continue  # it is in the variant
        try:
            value = READERS[pattern](fill(text, known, _refuse))
            fields[name] = _with(fields.get(name, getattr(task, name)), rest, value)
        except ValueError as fault:
            raise TemplateError(f"{'.'.join(keys)}: {text}: {fault}") from None
        except LookupError:  # in a spec that another program wrote
            raise TemplateError(f"{pointer}: the task has no such field") from None
    return replace(task, **fields) if fields else task


def _with(value: Any, keys: list[str], new: Any) -> Any:
    """A field in which the value at the keys is another one."""
    if not keys:
        return new
    key, *rest = keys
    if isinstance(value, (tuple, list)):
        number = int(key)
        items = [*value[:number], _with(value[number], rest, new), *value[number + 1 :]]
        return type(value)(items)
    if isinstance(value, dict):
        return {**value, key: _with(value[key], rest, new)}
    assert is_dataclass(value)  # noqa: S101 - no other field has keys in READERS
    assert not isinstance(value, type)  # noqa: S101 - the same
    return replace(value, **{key: _with(getattr(value, key), rest, new)})


def _refuse(code: str, _: Mapping[str, Any]) -> Any:
    raise TemplateError(f"{code} is too complex for this key", hint="compute it in the task")
