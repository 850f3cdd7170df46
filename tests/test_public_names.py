"""The names that the package offers."""

from __future__ import annotations

import subprocess
import sys

import nemorun_cli


def test_every_public_name_is_there() -> None:
    """What `__all__` names can be imported from the package, and `dir` lists it."""
    for name in nemorun_cli.__all__:
        assert getattr(nemorun_cli, name) is not None
        assert name in dir(nemorun_cli)


def test_importing_the_package_loads_nothing_heavy() -> None:
    """A program pays for a part of the package only when it uses it."""
    program = "import sys, nemorun_cli; print(*sorted(n for n in sys.modules if n.startswith('nemorun_cli')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["nemorun_cli", "nemorun_cli.version"]
