from dataclasses import dataclass

import nemorun_cli.nemo as run


@dataclass
class Model:
    hidden: int = 128
    layers: int = 2


def optimizer(lr: float = 0.1) -> float:
    return lr


@run.cli.entrypoint
def train(model: Model, epochs: int = 1, lr: float = 0.1):
    print(f"training {model.hidden}x{model.layers} for {epochs} with {lr}")


if __name__ == "__main__":
    run.cli.main(train)
