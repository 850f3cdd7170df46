"""The executor types that a spec is checked against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nemorun_cli.model.resources import Resources

    WhyUnsatisfiable = Callable[[str, Mapping[str, Any], Resources], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorTypes:
    """The executor types that a spec may name.

    Attributes:
        names: returns the known types.
        options_schema: returns the JSON Schema of a type's options, None if the type is unknown.
        why_unsatisfiable: why an executor (name, options) can never meet a request; None skips the check.
        has_remote_paths: whether tasks of an executor (name, options) may see folders that are not local.
    """

    names: Callable[[], Sequence[str]]
    options_schema: Callable[[str], Mapping[str, Any] | None]
    why_unsatisfiable: WhyUnsatisfiable | None = None
    has_remote_paths: Callable[[str, Mapping[str, Any]], bool] = lambda _name, _options: False
