"""The forms that a trial can take: the fields which must be known before it starts, by some of its values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialVariant:
    """One form of a trial.

    Attributes:
        values: those of the params that decide it; without the params that have no value then.
        fields: the fields of the task in which it differs from others.
    """

    values: Mapping[str, Any]
    fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrialVariants:
    """All forms of the trials of a search: one for each combination of the values of these params.

    Attributes:
        params: the names of the params that decide.
        entries: the forms.
    """

    params: tuple[str, ...]
    entries: tuple[TrialVariant, ...]

    @cached_property
    def _by_values(self) -> dict[str, TrialVariant]:
        return {self._key(entry.values): entry for entry in self.entries}

    def _key(self, values: Mapping[str, Any]) -> str:
        """A text that is equal for equal values of equal types."""
        known = {name: values[name] for name in self.params if name in values}
        return json.dumps(known, sort_keys=True)

    def of(self, values: Mapping[str, Any]) -> TrialVariant | None:
        """The form of a trial with these values; None if no form has them."""
        return self._by_values.get(self._key(values))


def is_among(some: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a trial with these values has all of some values, equal in type too."""
    found = {name: values[name] for name in some if name in values}
    return json.dumps(found, sort_keys=True) == json.dumps(dict(some), sort_keys=True)
