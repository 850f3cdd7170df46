"""Functions and classes that programs configure, as in NeMo-Run's first examples."""

from dataclasses import dataclass

import nemorun_cli.nemo as run


@dataclass
class Sizes:
    one: int
    two: int
    three: int


def add_sizes(first: Sizes, second: Sizes) -> Sizes:
    total = Sizes(first.one + second.one, first.two + second.two, first.three + second.three)
    print(f"{total = }")
    return total


def add(a: int, b: int) -> int:
    print(f"{a} + {b} = {a + b}")
    return a + b


@run.autoconvert
def usual_sizes() -> Sizes:
    return Sizes(one=5, two=10, three=15)
