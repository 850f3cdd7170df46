"""The key `plugins` of tasks and of the forms of trials, as it is collected while tasks are built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.problems import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginEntries:
    """The plugins of tasks, as the spec has them.

    Attributes:
        tasks: the ids of the tasks.
        entries: the key `plugins`.
        place: its place in the spec.
        values: for trials, the values that decide that they have these plugins; None for other tasks.
    """

    tasks: tuple[str, ...]
    entries: Sequence[Any]
    place: Place
    values: Mapping[str, Any] | None = None


def of_variants(uses: Sequence[PluginEntries], count: int) -> Iterator[PluginEntries]:
    """The plugins of trials, which are those of all trials if all variants have the same ones.

    Args:
        uses: those of each variant that has plugins.
        count: how many variants there are.
    """
    if len(uses) == count and all(use.entries == uses[0].entries for use in uses):
        yield from (replace(use, values=None) for use in uses[:1])
    else:
        yield from uses
