"""A home that was moved: its experiments run, and are shown, where they are now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nemorun_cli.storage import spec_copies
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from support.workspace import Exp

# The first attempt fails. A later one must see only the new place, however the spec names it.
SPEC = """
name: moved
tasks:
  inline:
    inline: |
      echo x=1 >> "$EXP_OUTPUT"
      test -e ready && cd ${{ experiment.dir }}/tasks && test "$(pwd -P)" = "$EXP_DIR/tasks" &&
        test "$D" = "$EXP_DIR/x"
    env: {D: '${{ experiment.dir }}/x'}
  late:
    command: [sh, -c, 'test "$1" = "$EXP_DIR-1"', sh, '${{ experiment.dir }}-${{ tasks.inline.outputs.x }}']
    dependencies: [inline]
"""


def test_resume_after_a_move_uses_the_new_place(exp: Exp) -> None:
    """`${{ experiment.dir }}`, filled in when the experiment was created, is where the experiment is now."""
    which = exp("run", exp.spec(SPEC), "-q", code=1).stdout.strip()
    moved = type(exp)(exp.home.with_name("a new home"), exp.folder)  # a shell would split it
    exp.home.rename(moved.home)
    (exp.folder / "ready").touch()
    assert moved("resume", which, "-q", code=None).code == 0, moved("logs", which).stdout
    shown = moved("show", which, "--json").json
    assert str(exp.home) not in json.dumps(shown["spec"])
    assert shown["directory"] == str(moved.home / "experiments" / "moved" / which)
    assert moved("records", which, "-q").stdout.count(which) >= 1
    moved.home.rename(exp.home)


def test_a_copy_of_an_earlier_version_is_relocated_by_the_ledger(exp: Exp) -> None:
    """It does not name the folder that it was resolved for, but the ledger names the home."""
    exp("run", exp.spec("name: a\ntasks: {t: {command: 'true', env: {D: '${{ experiment.dir }}'}}}\n"), "-q")
    (files,) = Home(exp.home).readable(exp("list", "-q").stdout.split())
    document = json.loads(files.resolved.read_bytes())
    assert document.pop(spec_copies.DIRECTORY) == str(files.directory)
    files.resolved.write_text(json.dumps(document))
    place = exp.home.with_name("new")
    exp.home.rename(place)
    (moved,) = Home(place).readable([files.id])
    assert spec_copies.read_spec(moved).tasks[0].env == {"D": str(moved.directory)}
    place.rename(exp.home)
