"""The params of a search: their ranges, choices and conditions, and the values of the first trials."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.problems import Finding, choices, shown
from nemorun_cli.model.search import ParamKind, SearchParam
from nemorun_cli.spec.expressions.conditions import holds, names_in
from nemorun_cli.spec.expressions.evaluate import could_take_long
from nemorun_cli.spec.expressions.fill import LateText
from nemorun_cli.spec.expressions.syntax import OPENING, SOMETIMES, UNKNOWN, TemplateError, sole_expression
from nemorun_cli.spec.tasks.matrix import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.expressions.fill import Filler

LARGEST_INT: Final = 2**53  # beyond it, samplers would round whole numbers
_NEVER: Final = "${{ false }}"
_RANGE_KEYS: Final = ("low", "high", "step", "log")
_MOST_POINTS: Final = 50  # at which conditions are tried


def names_of(section: Any) -> dict[str, Any]:
    """What expressions can name of a search before its trials have values; empty if it is not valid."""
    params = section.get("params") if isinstance(section, dict) else None
    return {
        name: SOMETIMES if isinstance(param, dict) and "when" in param else UNKNOWN
        for name, param in (params.items() if isinstance(params, dict) else ())
    }


def filled_section(section: Any, place: Place, filler: Filler) -> Any:
    """Return a section with its expressions filled in; those over `search` stay as they are."""
    if not isinstance(section, dict) or not isinstance(section.get("params"), dict):
        return filler.tree(section, place)
    filler.names["search"] = dict.fromkeys(section["params"], UNKNOWN)
    filled = filler.tree(section, place)
    filler.names["search"] = {}
    return filled


class SpaceReader:
    """Reads the params of a search that has passed the schema; collects errors in `findings`.

    Args:
        entries: the key `params`.
        place: that of the search.
    """

    def __init__(self, entries: Mapping[str, Any], place: Place) -> None:
        self.findings: list[Finding] = []
        self._place: Place = (*place, "params")
        self.params = tuple(self._param(name, value) for name, value in entries.items())
        for index, param in enumerate(self.params):
            if param.when is not None:
                self._check_condition(param, entries[param.name]["when"], self.params[:index])
        if not self.findings:
            self._try_conditions()

    def _report(self, keys: Place, message: str, hint: str | None = None, *, on_key: bool = False) -> None:
        self.findings.append(Finding(place=(*self._place, *keys), message=message, hint=hint, on_key=on_key))

    def _param(self, name: str, value: Any) -> SearchParam:
        entry: Mapping[str, Any] = {"choices": value} if isinstance(value, list) else value
        kind = entry.get("type", "choices" if "choices" in entry else None)
        if kind is None:
            hint = "write type: float or type: int with low and high, or choices: […]"
            self._report((name,), "has no type", hint)
            return SearchParam(name=name, kind=ParamKind.CHOICES)
        when = entry.get("when", True)
        condition = None if when is True else _NEVER if when is False else str(when)
        if kind == ParamKind.CHOICES:
            self._check_choices(entry, name, at=(name,) if isinstance(value, list) else (name, "choices"))
            values = tuple(entry.get("choices", ()))
            return SearchParam(name=name, kind=ParamKind.CHOICES, choices=values, when=condition)
        return self._range(name, kind, entry, condition)

    # -- choices and ranges --------------------------------------------------------------------------

    def _check_choices(self, entry: Mapping[str, Any], name: str, *, at: Place) -> None:
        for key in _RANGE_KEYS:
            if key in entry:
                self._report((name, key), "does not apply to choices", on_key=True)
        if "choices" not in entry:
            self._report((name,), "has no choices", "add choices: [sgd, adam]")
        seen: list[Any] = []
        for index, value in enumerate(entry.get("choices", ())):
            if problem := _choice_problem(value):
                self._report((*at, index), problem)
            key = _exact(value)
            if key in seen:
                self._report((*at, index), f"{shown(value)} is listed twice")
            seen.append(key)

    def _range(self, name: str, kind: str, entry: Mapping[str, Any], condition: str | None) -> SearchParam:
        nothing = SearchParam(name=name, kind=ParamKind(kind), when=condition)
        if "choices" in entry:
            self._report((name, "choices"), f"does not apply to {kind}", on_key=True)
        missing = [key for key in ("low", "high") if key not in entry]
        if missing:
            hint = "a range has both ends: low and high"
            self._report((name,), f"has no {' and no '.join(missing)}", hint)
            return nothing
        read = int if kind == ParamKind.INT else float
        numbers: dict[str, float] = {}
        for key in ("low", "high", "step"):
            if key in entry:
                if problem := _number_problem(kind, entry[key]):
                    self._report((name, key), problem)
                    return nothing
                numbers[key] = read(entry[key])
        param = SearchParam(
            name=name,
            kind=ParamKind(kind),
            low=numbers["low"],
            high=numbers["high"],
            step=numbers.get("step"),
            log=entry.get("log", False),
            when=condition,
        )
        for key, message, advice in _range_faults(numbers, is_log=param.log, entry=entry):
            self._report((name, key), message, advice)
        return param

    # -- conditions ----------------------------------------------------------------------------------

    def _check_condition(self, param: SearchParam, when: Any, above: Sequence[SearchParam]) -> None:
        at: Place = (param.name, "when")
        if isinstance(when, bool):
            return
        if isinstance(when, LateText) and (when.uses or when.bests):
            hint = "use search and params in it"
            self._report(at, f"{when} uses results of tasks, which samplers do not know", hint)
            return
        if not isinstance(when, LateText) or sole_expression(when) is None:
            hint = "write one expression: when: ${{ search.optimizer == 'sgd' }}"
            self._report(at, f"{shown(when)} is no condition", hint)
            return
        known = [other.name for other in above]
        for name in names_in(when):
            if name not in known:
                subject = "itself" if name == param.name else f"search.{name}, which is below it"
                self._report(at, f"uses {subject}", "a condition uses params above its own")
                return
        if could_take_long(when):
            self._report(at, f"{when} is too complex for a condition", "compare params with values")

    def _try_conditions(self) -> None:
        """Evaluate the conditions at some points of the space: whether they give booleans."""
        reported: set[str] = set()
        for point in corners(self.params):
            values: dict[str, Any] = {}
            for param in self.params:
                if param.name in reported:
                    continue
                try:
                    if param.when is None or holds(param.when, values):
                        values[param.name] = point[param.name]
                except TemplateError as fault:
                    reported.add(param.name)
                    at = ", ".join(f"{name} {shown(value)}" for name, value in values.items())
                    self._report((param.name, "when"), f"{fault.message} (with {at})", fault.hint)

    # -- the first trials ----------------------------------------------------------------------------

    def start_with(self, entries: Sequence[Mapping[str, Any]], place: Place) -> tuple[dict[str, Any], ...]:
        """The values of the first trials, each as the param has it; what is wrong is in `findings`."""
        return tuple(self._first_values(entry, (*place, index)) for index, entry in enumerate(entries))

    def _first_values(self, entry: Mapping[str, Any], place: Place) -> dict[str, Any]:
        by_name = {param.name: param for param in self.params}
        for name in entry:
            if name not in by_name:
                message, hint = f"no param is called {name!r}", choices(name, by_name)
                self.findings.append(Finding(place=(*place, name), message=message, hint=hint, on_key=True))
        values: dict[str, Any] = {}
        for param in self.params:
            if param.name not in entry:
                continue
            value, problem = _value_in(param, entry[param.name])
            if problem is None and not _may_hold(param, values):
                problem = f"has a value, but its `when` is false with these: {param.when}"
            if problem is not None:
                self.findings.append(Finding(place=(*place, param.name), message=problem))
            values[param.name] = value
        return values


def corners(params: Sequence[SearchParam]) -> Iterator[dict[str, Any]]:
    """The first values of all params, then the last ones, then each choice with the first ones."""
    first = {param.name: param.choices[0] if param.choices else param.low for param in params}
    yield first
    yield {param.name: param.choices[-1] if param.choices else param.high for param in params}
    for param in params:
        for value in param.choices[1:_MOST_POINTS]:
            yield {**first, param.name: value}


def _may_hold(param: SearchParam, values: Mapping[str, Any]) -> bool:
    """Whether a param can have a value next to these, of which some may be drawn."""
    if param.when is None or any(name not in values for name in names_in(param.when)):
        return param.when != _NEVER
    try:
        return holds(param.when, values)
    except TemplateError:
        return True  # another value of the entry has a problem, which is reported


def _value_in(param: SearchParam, value: Any) -> tuple[Any, str | None]:
    """A value as a param has it, and what is wrong with it."""
    if param.kind is ParamKind.CHOICES:
        for choice in param.choices:
            if _exact(choice) == _exact(value):
                return choice, None
        listed = ", ".join(shown(choice) for choice in param.choices[:_LISTED])
        more = ", …" if len(param.choices) > _LISTED else ""
        return value, f"{shown(value)} is none of its choices: {listed}{more}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value, f"{shown(value)} is no number"
    if problem := _number_problem(param.kind, value):
        return value, problem
    number = int(value) if param.kind is ParamKind.INT else float(value)
    return number, _range_problem(param, number)


def _range_problem(param: SearchParam, number: float) -> str | None:
    low, high = param.low or 0, param.high or 0
    if not low <= number <= high:
        return f"{shown(number)} is not from {shown(low)} to {shown(high)}"
    if param.step is not None and _remainder(low, number, param.step):
        return f"{shown(number)} is not {shown(low)} plus a multiple of {shown(param.step)}"
    return None


_LISTED: Final = 8  # choices in a message


def _range_faults(
    numbers: Mapping[str, float], *, is_log: bool, entry: Mapping[str, Any]
) -> Iterator[tuple[str, str, str | None]]:
    """What is wrong with a range: a key, a message and a hint."""
    low, high, step = numbers["low"], numbers["high"], numbers.get("step")
    if low > high:
        yield "low", f"is greater than high: {shown(entry['low'])} > {shown(entry['high'])}", None
    if is_log and low <= 0:
        yield "low", "must be greater than 0 with log", None
    if step is None:
        return
    if step <= 0:
        yield "step", "must be greater than 0", None
    elif is_log:
        yield "step", "cannot be combined with log", "leave one of them out"
    elif (high - low) / step > LARGEST_INT:
        yield "step", f"is too small: the range has more than {LARGEST_INT} values", "write a larger one"
    elif low <= high and (rest := _remainder(low, high, step)):
        largest = type(low)(Decimal(str(high)) - rest)
        message = f"is not low plus a multiple of step: {shown(entry['high'])}"
        yield "high", message, f"write high: {largest}"


def _remainder(low: float, value: float, step: float) -> Decimal:
    """How far a value is above the nearest one below it that is low plus a multiple of step."""
    return (Decimal(str(value)) - Decimal(str(low))) % Decimal(str(step))


def _exact(value: Any) -> Any:
    """A key that is equal for equal values of equal types, also within lists and mappings."""
    if isinstance(value, dict):
        return "mapping", sorted((str(name), _exact(item)) for name, item in value.items())
    if isinstance(value, list):
        return "list", [_exact(item) for item in value]
    return ("null", None) if value is None else key_of(value)


def _choice_problem(value: Any) -> str | None:
    """What is wrong with a choice: each is a plain value that does not change."""
    if isinstance(value, str) and OPENING in value:
        return f"{value} is not known when values are suggested"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, map(_choice_problem, parts)), None)


def _number_problem(kind: str, value: float) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if kind != ParamKind.INT:
        return None if abs(value) <= _LARGEST_FLOAT else "must be from -1e300 to 1e300"
    if value != int(value):
        return "must be a whole number"
    return None if abs(value) <= LARGEST_INT else "must be from -2^53 to 2^53"


_LARGEST_FLOAT: Final = 1e300  # the width of a range must be a number too
