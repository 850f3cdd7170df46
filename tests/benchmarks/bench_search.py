"""What suggestions cost: the process that samples against Optuna itself, in memory and with a journal file.

    python tests/benchmarks/bench_search.py [--trials N] [--rounds N] [--workers]

Each side is a program of its own that runs the same study of trials which take no time: ours asks the process
as a supervisor does, one suggestion at a time. Wall time and CPU seconds are those of the program and of all
processes that it starts. `--workers` also compares `constant_liar` on and off, with several trials at once:
the best value, how near such trials are to each other, and how many are equal, over ten seeds.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.best import Goal
from nemorun_cli.model.search import ParamKind, SearchParam, SearchRule
from nemorun_cli.supervisor.sampler_client import SamplerClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import optuna

SAMPLERS = ("random", "tpe")
SIDES = ("exp", "memory", "journal")
PROCESSES = 4  # of Optuna with a journal file
BUDGET = 1.2  # of Optuna in memory, for tpe
SEEDS = 10
SEVERAL = (4, 8)  # trials at once


def objective(values: Mapping[str, Any]) -> float:
    """A value that each param has a share in."""
    square: float = sum((values[f"x{number}"] - number) ** 2 for number in range(3))
    return (
        square + abs(values["layers"] - 4) + abs(math.log10(values["lr"]) + 3) + 3 * (values["kind"] != "b")
    )


def rule(sampler: str, trials: int, seed: int = 1) -> SearchRule:
    """Six params: four floats, a whole number and choices."""
    floats = [SearchParam(name=f"x{number}", kind=ParamKind.FLOAT, low=-5, high=5) for number in range(3)]
    others = (
        SearchParam(name="layers", kind=ParamKind.INT, low=1, high=8),
        SearchParam(name="lr", kind=ParamKind.FLOAT, low=1e-5, high=1, log=True),
        SearchParam(name="kind", kind=ParamKind.CHOICES, choices=("a", "b", "c")),
    )
    return SearchRule(
        params=(*floats, *others),
        metrics=("loss",),
        goals=(Goal.MINIMIZE,),
        trials=trials,
        sampler=sampler,
        seed=seed,
    )


def suggested(trial: optuna.Trial) -> dict[str, Any]:
    """The same params, as a program that uses Optuna asks for them."""
    floats = {f"x{number}": trial.suggest_float(f"x{number}", -5, 5) for number in range(3)}
    return {
        **floats,
        "layers": trial.suggest_int("layers", 1, 8),
        "lr": trial.suggest_float("lr", 1e-5, 1, log=True),
        "kind": trial.suggest_categorical("kind", ["a", "b", "c"]),
    }


def run_exp(sampler: str, trials: int) -> None:
    """A study through the process that samples, with one trial at a time."""
    poll = select.poll()
    history: list[dict[str, Any]] = []
    client = SamplerClient(rule(sampler, trials), replay=lambda: list(history), poll=poll, report=sys.exit)
    for number in range(1, trials + 1):
        client.send({"ask": number})
        while not (answers := client.take()):
            poll.poll()
        suggestion = answers[0]["suggestion"]
        value = objective(suggestion["params"])
        result = {"number": number, "outcome": "complete", "values": [value]}
        for event in ({"suggested": suggestion}, {"trial_ended": result}):
            history.append(event)
            client.send(event)
    client.close()


def run_optuna(sampler: str, trials: int, journal: str | None) -> None:
    """A study by Optuna itself, in memory or as one of several processes with a journal file."""
    import optuna  # noqa: PLC0415 - only this side pays for it
    from optuna.storages import JournalStorage  # noqa: PLC0415 - the same
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415 - the same

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    kinds = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
    study = optuna.create_study(
        study_name="bench",
        storage=None if journal is None else JournalStorage(JournalFileBackend(journal)),
        sampler=kinds[sampler](seed=None if journal is not None else 1),
        load_if_exists=True,
    )
    study.optimize(lambda trial: objective(suggested(trial)), n_trials=trials)


def run_journal(sampler: str, trials: int) -> None:
    """A study by four processes of Optuna, which share a journal file."""
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, __file__, "--side", "worker", "--sampler", sampler]
        argv += ["--trials", str(trials // PROCESSES), "--journal", f"{folder}/journal"]
        processes = [subprocess.Popen(argv) for _ in range(PROCESSES)]
        if [code for process in processes if (code := process.wait())]:
            sys.exit("a process of Optuna failed")


def measured(side: str, sampler: str, trials: int) -> tuple[float, float]:
    """The wall time and the CPU seconds of one side, with all processes that it starts."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    argv = [sys.executable, __file__, "--side", side, "--sampler", sampler, "--trials", str(trials)]
    subprocess.run(argv, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu


def compare(trials: int, rounds: int) -> None:
    """Print the medians of each side, and those of the ratios within a round."""
    print(f"{trials} trials, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}, {rounds} rounds")
    for sampler in SAMPLERS:
        figures = [{side: measured(side, sampler, trials) for side in SIDES} for _ in range(rounds)]
        for side in SIDES:
            wall, cpu = (statistics.median(one[side][index] for one in figures) for index in (0, 1))
            ratios = [
                statistics.median(one["exp"][index] / one[side][index] for one in figures) for index in (0, 1)
            ]
            text = "" if side == "exp" else f"   exp/{side}: wall {ratios[0]:.2f}, CPU {ratios[1]:.2f}"
            print(f"{sampler:7} {side:8} wall {wall:6.2f} s  CPU {cpu:6.2f} s{text}")
        if sampler == "tpe":
            ratio = statistics.median(one["exp"][1] / one["memory"][1] for one in figures)
            print(
                f"tpe against its budget of {BUDGET}: {ratio:.2f} {'ok' if ratio <= BUDGET else 'TOO MUCH'}"
            )


def smooth(trial: optuna.Trial) -> tuple[tuple[float, ...], float]:
    """A point, and its value, of the study above."""
    values = suggested(trial)
    return tuple(values[f"x{number}"] for number in range(3)), objective(values)


def discrete(trial: optuna.Trial) -> tuple[tuple[float, ...], float]:
    """One of 150 points, and its value."""
    layers, width = trial.suggest_int("layers", 1, 6), trial.suggest_int("width", 0, 4)
    kind = trial.suggest_categorical("kind", [0, 1, 2, 3, 4])
    return (layers, kind, width), abs(layers - 4) + (3, 1, 2, 0, 4)[kind] + abs(width - 2)


def best_of(
    space: Callable[[optuna.Trial], tuple[tuple[float, ...], float]], *, liar: bool, workers: int, seed: int
) -> tuple[float, float, int]:
    """The best value of a study, the distance of trials that ran at once, and how many were equal."""
    import optuna  # noqa: PLC0415 - only this comparison needs it

    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=liar)
    study = optuna.create_study(sampler=sampler)
    nearest, equal = [], 0
    for _ in range(96 // workers):
        trials = [study.ask() for _ in range(workers)]
        points = [space(trial) for trial in trials]
        nearest += [math.dist(a, b) for index, (a, _) in enumerate(points) for b, _ in points[:index]]
        equal += workers - len({point for point, _ in points})
        for trial, (_, value) in zip(trials, points, strict=True):
            study.tell(trial, value)
    return study.best_value, statistics.mean(nearest), equal


def compare_workers() -> None:
    """Print what `constant_liar` changes, with several trials at once."""
    import optuna  # noqa: PLC0415 - only this comparison needs it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    for space in (smooth, discrete):
        for workers in SEVERAL:
            for liar in (False, True):
                found = [best_of(space, liar=liar, workers=workers, seed=seed) for seed in range(SEEDS)]
                best, near, equal = (statistics.mean(one[index] for one in found) for index in range(3))
                what = f"{space.__name__:8} {workers} at once, constant_liar {liar!s:5}"
                print(f"{what}: best {best:.3f}, mean distance {near:.2f}, {equal:.1f} equal")


def main() -> None:
    """Measure, or be one of the programs that are measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", action="store_true")
    parser.add_argument("--side", choices=(*SIDES, "worker"), help=argparse.SUPPRESS)
    parser.add_argument("--sampler", choices=SAMPLERS, help=argparse.SUPPRESS)
    parser.add_argument("--journal", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    programs: dict[str, Callable[[], None]] = {
        "exp": lambda: run_exp(options.sampler, options.trials),
        "memory": lambda: run_optuna(options.sampler, options.trials, None),
        "journal": lambda: run_journal(options.sampler, options.trials),
        "worker": lambda: run_optuna(options.sampler, options.trials, str(options.journal)),
    }
    if options.side is not None:
        programs[options.side]()
        return
    compare(options.trials, options.rounds)
    if options.workers:
        compare_workers()


if __name__ == "__main__":
    main()
