"""`exp tag`: add and remove tags of an experiment or record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from nemorun_cli.cli import terminal
from nemorun_cli.cli.options import DashRoot, ExperimentOrRecord, Json
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import targets
from nemorun_cli.experiment.run import find

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nemorun_cli.json_documents import TagDocument

TAG_FORMAT: Final = "exp.tag/1"
TAKES_SIGNED_WORDS: Final = True


def command(
    which: ExperimentOrRecord,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="+TAG|-TAG", help="Tags to add and to remove.", show_default=False),
    ] = None,
    *,
    dash_root: DashRoot = None,
    is_json: Json = False,
) -> None:
    """Add and remove tags of an experiment or record.

    Prints the tags that it has then, each on a line. It may be running.

    Examples:
      exp tag training +best -candidate
      exp tag alice/vision/resnet +good    a record, by its prefix
      exp tag training                     print the tags
      exp list --tag best
    """
    added, removed = _signed(which, changes or ())
    subject: dict[str, str | None]
    if targets.is_prefix(which, dash_root):
        record = targets.single(which, dash_root)
        subject, before = {"id": None, "prefix": record.prefix}, record.tags

        def change() -> list[str]:
            return record.tag(added, removed)
    else:
        run = find(which)
        subject, before = {"id": run.id, "prefix": None}, run.tags

        def change() -> list[str]:
            return run.tag(added, removed)

    _change(subject, before, change, added=added, removed=removed, is_json=is_json)


def _change(
    subject: dict[str, str | None],
    before: list[str],
    change: Callable[[], list[str]],
    *,
    added: Sequence[str],
    removed: Sequence[str],
    is_json: bool,
) -> None:
    tags = change() if added or removed else before
    name = subject["id"] or subject["prefix"]
    if missing := [tag for tag in removed if tag not in before]:
        known = f"there are: {', '.join(before)}" if before else "it has none"
        terminal.warn(f"{name} has no tag {', '.join(missing)} ({known})")
    if is_json:
        document = {
            "schema": TAG_FORMAT,
            **subject,
            "tags": tags,
            "added": [tag for tag in added if tag not in before],
            "removed": [tag for tag in removed if tag in before],
        }
        terminal.write_json(cast("TagDocument", document))
    else:
        terminal.write_lines(tags)


def _signed(which: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tags to add and to remove.

    Raises:
        UsageError: a word has no sign.
    """
    if which.startswith(("+", "-")):
        raise UsageError(
            f"{which!r} is a tag, and what it belongs to is missing", hint=f"exp tag latest {which}"
        )
    if unsigned := [word for word in words if not word.startswith(("+", "-"))]:
        word = unsigned[0]
        raise UsageError(f"{word!r} has no sign", hint=f"add the tag with +{word}, or remove it with -{word}")
    signs = {sign: [word[1:] for word in words if word[0] == sign] for sign in "+-"}
    return signs["+"], signs["-"]
