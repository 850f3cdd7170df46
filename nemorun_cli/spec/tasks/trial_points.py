"""Points of the space of a search at which its task is filled in while the spec is read.

Keys such as `executor` are filled in for all values that they can have, so params in them have few values:
each combination of these is one variant of the trials. Other keys are tried at both ends of all ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.problems import Finding
from nemorun_cli.model.search import ParamKind
from nemorun_cli.spec.expressions.conditions import holds, names_in
from nemorun_cli.spec.expressions.evaluate import could_take_long, fill_inline
from nemorun_cli.spec.expressions.fill import LateText, VaryingText, decides_variant
from nemorun_cli.spec.expressions.syntax import TemplateError
from nemorun_cli.spec.tasks.search_space import corners

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from nemorun_cli.model.search import SearchParam

    Values = dict[str, Any]

MOST_VARIANTS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPoint:
    """Values of a trial.

    Attributes:
        values: by name; without the params whose condition is false.
        variant: those that decide the variant, if it is the first point of that; None for further ones.
    """

    values: Mapping[str, Any]
    variant: Mapping[str, Any] | None


class Space:
    """The params of a search, and which of them decide the variants of its trials.

    Args:
        params: in the order of the spec.
        task: the task, filled in but for the values of trials.

    Attributes:
        deciding: the names of the params that decide, in the order of the spec.
        findings: why there are no variants, if that is so.
    """

    def __init__(self, params: Sequence[SearchParam], task: Mapping[str, Any]) -> None:
        self._params = params
        self.findings: list[Finding] = []
        names: set[str] = set()
        self._is_tried = False  # whether other keys need values, too
        for text in _texts(task):
            if decides_variant(text.place):
                names |= self._names_in(text)
            elif text.rest is not None:
                self._is_tried = True
        self._is_tried |= any(_inline_texts(task))
        self._add_of_conditions(names)
        self.deciding = tuple(param.name for param in params if param.name in names)
        self._variants = [] if self.findings else self._combinations()
        if len(self._variants) > MOST_VARIANTS and not self.findings:
            listed = ", ".join(f"search.{name}" for name in self.deciding)
            message = (
                f"more than {MOST_VARIANTS:,} combinations of {listed} decide keys that are checked for each"
            )
            hint = "use fewer values in keys such as executor, or pass them to the task by args or env"
            place = next(text.place for text in _texts(task) if decides_variant(text.place))
            self.findings.append(Finding(place=place, message=message, hint=hint))

    def _names_in(self, text: VaryingText) -> set[str]:
        """The params in a text that decides; reports those with too many values."""
        every = "" in text.searched
        names = {param.name for param in self._params if every or param.name in text.searched}
        for param in self._params:
            if param.name in names and (fault := _fault(param)) is not None:
                hint = "use choices or type: int, or pass it to the task by args or env"
                message = f"search.{param.name} {fault}, and this key is checked for each of its values"
                self.findings.append(Finding(place=text.place, message=message, hint=hint))
        return names

    def _add_of_conditions(self, names: set[str]) -> None:
        """Add the params by which it is known whether these have a value."""
        for param in reversed(self._params):
            if param.name in names and param.when is not None:
                above = set(names_in(param.when))
                names |= {
                    other.name for other in self._params if other.name in above and _fault(other) is None
                }

    def _combinations(self) -> list[Values]:
        """The values of the deciding params, in each combination that may occur; one too many at most."""
        known = set(self.deciding)
        found: list[Values] = [{}]
        for param in self._params:
            if param.name not in known:
                continue
            extended: list[Values] = []
            for values in found:
                with_value, without = _may_have(param, values, known)
                if with_value:
                    extended += ({**values, param.name: value} for value in _values(param))
                if without:
                    extended.append(values)
                if len(extended) > MOST_VARIANTS:
                    return extended
            found = extended
        return found

    def points(self) -> Iterator[TrialPoint]:
        """The first point of each variant, each followed by further points at which other keys are tried."""
        for number, variant in enumerate(self._variants):
            others = corners([param for param in self._params if param.name not in variant])
            yield TrialPoint(values=self._completed(variant, next(others)), variant=variant)
            if not self._is_tried:
                continue
            for corner in others:
                yield TrialPoint(values=self._completed(variant, corner), variant=None)
                if number:
                    break  # each choice is tried once

    def _completed(self, variant: Values, corner: Values) -> Values:
        values: Values = {}
        for param in self._params:
            if param.name in self.deciding:
                values |= {param.name: variant[param.name]} if param.name in variant else {}
            elif param.when is None or holds(param.when, values):
                values[param.name] = corner[param.name]
        return values


def _texts(value: Any) -> Iterator[VaryingText]:
    """The texts that are filled in for each trial."""
    if isinstance(value, VaryingText):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _inline_texts(value: Any) -> Iterator[LateText]:
    """The inline texts that need only values of the trial, which must not be shell syntax."""
    for key, item in value.items():
        if key == "group" and isinstance(item, list):
            for member in item:
                yield from _inline_texts(member)
        elif key == "inline" and isinstance(item, LateText) and not (item.uses or could_take_long(item)):
            yield item


def inline_faults(task: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with the inline texts of a task with these values of a trial."""
    for text in _inline_texts(task):
        try:
            fill_inline(text, names, _no_evaluator)
        except TemplateError as fault:
            yield Finding(place=text.place, message=fault.message, hint=fault.hint, needle=fault.raw)
        except _TooLargeError:
            continue  # it is evaluated when the trial starts


class _TooLargeError(Exception):
    """The values are so large that a process has to evaluate the expression."""


def _no_evaluator(code: str, _: Mapping[str, Any]) -> Any:
    raise _TooLargeError(code)


def _fault(param: SearchParam) -> str | None:
    """Why a param cannot decide a variant, if it cannot."""
    if param.kind is ParamKind.FLOAT:
        return "is a float"
    if param.kind is ParamKind.INT and len(_range(param)) > MOST_VARIANTS:
        return f"has more than {MOST_VARIANTS:,} values"
    return None


def _range(param: SearchParam) -> range:
    return range(int(param.low or 0), int(param.high or 0) + 1, int(param.step or 1))


def _values(param: SearchParam) -> Sequence[Any]:
    return param.choices if param.kind is ParamKind.CHOICES else _range(param)


def _may_have(param: SearchParam, values: Values, known: Collection[str]) -> tuple[bool, bool]:
    """Whether a param may have a value next to those of deciding params, and whether it may have none."""
    if param.when is None:
        return True, False
    if not all(name in known for name in names_in(param.when)):
        return True, True
    has_value = holds(param.when, values)
    return has_value, not has_value
