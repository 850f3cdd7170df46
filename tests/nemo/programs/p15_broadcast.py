from dataclasses import dataclass, field

import nemorun_cli.nemo as run


@dataclass
class Part:
    name: str
    size: int = 1
    is_frozen: bool = False


@dataclass
class Whole:
    left: Part = field(default_factory=lambda: Part("left"))
    right: Part = field(default_factory=lambda: Part("right"))
    size: int = 10


def show(whole: Whole):
    for part in (whole.left, whole.right):
        print(part.name, part.size, part.is_frozen)
    print("whole", whole.size)


if __name__ == "__main__":
    whole = run.Config(Whole, left=run.Config(Part, "left"), right=run.Config(Part, "right", size=3))
    whole.broadcast(is_frozen=True)
    whole.walk(size=lambda config: config.size * 2)
    task = run.Partial(show, whole=whole)
    task.whole.left.size *= 5
    same = task.clone()
    print(same == task, same is task)
    same.whole.left.size = 0
    with run.Experiment("broadcast") as exp:
        exp.add(task, tail_logs=True)
        exp.run()
