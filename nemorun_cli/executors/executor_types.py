"""What the check of a spec asks about the types of executors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nemorun_cli.model.resources import Resources

    Misfit = Callable[[str, Mapping[str, Any], Resources], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorTypes:
    """The types of executors that a spec may name.

    Attributes:
        names: tells which there are.
        options_schema: the JSON Schema of a type's options, None where there is no such type.
        misfit: says of an executor (name, options) why it can never meet a request; None asks nobody.
        has_folders: says of an executor (name, options) whether its tasks find folders that are not here.
    """

    names: Callable[[], Sequence[str]]
    options_schema: Callable[[str], Mapping[str, Any] | None]
    misfit: Misfit | None = None
    has_folders: Callable[[str, Mapping[str, Any]], bool] = lambda _name, _options: False
