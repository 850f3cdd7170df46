"""How the benchmarks measure: whole processes, several rounds, medians, and ratios within one round."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXP = str(Path(sys.executable).with_name("exp"))

BARE_TYPER = """\
import typer

app = typer.Typer()


@app.command()
def hello(name: str = "world") -> None:
    print(name)


@app.command()
def bye(name: str = "world") -> None:
    print(name)


app()
"""


@dataclass
class Bench:
    """A fresh folder, a home in it, and the rows that were measured so far.

    The folder should be one from which nothing was deleted lately: ext4 searches past inodes that
    were freed in the last minutes, which makes creating files many times slower.
    """

    folder: Path
    rounds: int = 5
    rows: list[tuple[str, float, str, float, str, float | None]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """`$NEMORUN_HOME` of this run."""
        return self.folder / "home"

    @property
    def env(self) -> dict[str, str]:
        """The environment of what is measured."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EXP_")}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled once
        return {**kept, "NEMORUN_HOME": str(self.home), "NO_COLOR": "1"}

    def exp(self, *args: str | Path) -> str:
        """Run `exp`; gives its standard output."""
        return self.output([EXP, *map(str, args)])

    def output(self, argv: Sequence[str]) -> str:
        """Run a command to its end; gives its standard output, fails loudly if it does."""
        done = subprocess.run(
            argv, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def command(self, *argv: str | Path) -> Callable[[], float]:
        """What runs a command once and gives its wall time in seconds."""

        def run() -> float:
            start = time.perf_counter()
            self.output([str(part) for part in argv])
            return time.perf_counter() - start

        return run

    def bare_typer(self) -> Callable[[], float]:
        """What runs a Typer program of two commands that does nothing."""
        program = self.folder / "bare_typer.py"
        program.write_text(BARE_TYPER, encoding="utf-8")
        return self.command(sys.executable, program, "hello")

    def compare(
        self,
        name: str,
        ours: Callable[[], float],
        other: str,
        theirs: Callable[[], float],
        *,
        goal: float | None,
    ) -> None:
        """Measure both in turn and note the medians and the median of the pairs' ratios."""
        pairs = []
        for turn in range(self.rounds + 1):
            pair = (ours(), theirs())
            if turn:  # the first only warms up
                pairs.append(pair)
        ratio = statistics.median(mine / his for mine, his in pairs)
        mine, his = (statistics.median(column) for column in zip(*pairs, strict=True))
        self.note(name, mine, other, his, goal=goal, ratio=ratio)

    def note(
        self,
        name: str,
        mine: float,
        other: str,
        his: float,
        *,
        goal: float | None,
        ratio: float | None = None,
    ) -> None:
        """Print one row: what we took, what the other took, and the ratio, with the goal if there is one."""
        ratio = mine / his if ratio is None else ratio
        verdict = "" if goal is None else f"goal {goal:g}x: {'reached' if ratio <= goal else 'MISSED'}"
        print(f"{name:<58} {mine:9.3f} s   {other:<28} {his:9.3f} s   {ratio:6.2f}x  {verdict}", flush=True)

    def figure(self, name: str, value: str) -> None:
        """Print a figure that has nothing to be compared with."""
        print(f"{name:<58} {value}", flush=True)
