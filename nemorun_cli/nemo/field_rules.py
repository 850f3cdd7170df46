"""Rules for the fields of NeMo-Run's classes: translated, without meaning here, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo import named_fields

if TYPE_CHECKING:
    from collections.abc import Callable


class Change(NamedTuple):
    """What a field gives: options of the executor, and keys of the tasks that run on it."""

    options: Mapping[str, Any] = {}
    keys: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Translated:
    """A field with a counterpart.

    Attributes:
        change: gives the translation from the object and the field's value.
        is_always: whether the field's default is translated too.
    """

    change: Callable[[Any, Any], Change]
    is_always: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class WithoutMeaning:
    """A field that concerns only what NeMo-Run prints, or how it works inside; its value changes nothing."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedValue:
    """A field without a counterpart that changes what runs: only its default is accepted."""

    why: str
    instead: str


Rule: TypeAlias = Translated | WithoutMeaning | RefusedValue
Rules: TypeAlias = Mapping[str, Rule]


def option(name: str) -> Translated:
    """The option of the same meaning and value."""
    return Translated(lambda _, value: Change(options={name: value}))


def key(name: str) -> Translated:
    """The key of tasks with the same meaning and value."""
    return Translated(lambda _, value: Change(keys={name: value}))


def _nothing(*_: Any) -> Change:
    return Change()


BY_ANOTHER: Final = Translated(_nothing)
"""A field that the rule of another field, or the object itself, translates."""


def change(instance: Any, rules: Rules) -> Change:
    """The translation of all fields of an object, in the order of the rules.

    Raises:
        UsageError: a field that is refused has a value, or a field has one of another type; the message has
            the field's name, the reason and the remedy.
    """
    named_fields.require_types(instance, rules)
    options: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    for name, rule in rules.items():
        value = getattr(instance, name)
        is_given = value is not None and not named_fields.is_default(instance, name)
        if isinstance(rule, RefusedValue) and is_given:
            raise refusal(f"{type(instance).__name__}.{name}", rule)
        if isinstance(rule, Translated) and (is_given or rule.is_always):
            given = rule.change(instance, value)
            options |= given.options
            keys |= given.keys
    return Change(options=options, keys=keys)


def refusal(name: str, rule: RefusedValue) -> UsageError:
    """The error about something without a counterpart."""
    return UsageError(f"{name} has no counterpart: {rule.why}", hint=rule.instead)
