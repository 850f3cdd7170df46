from dataclasses import dataclass

import nemorun_cli.nemo as run


@dataclass
class Model:
    hidden: int
    layers: int


@run.cli.factory
@run.autoconvert
def small(hidden: int = 64) -> Model:
    return Model(hidden=hidden, layers=1)


@run.cli.factory
def on_this_machine() -> run.Config[run.LocalExecutor]:
    return run.Config(run.LocalExecutor, env_vars={"PLACE": "here"})


@run.cli.entrypoint
def train(model: Model, epochs: int = 1):
    print(f"training {model.hidden}x{model.layers} for {epochs}")


if __name__ == "__main__":
    run.cli.main(train)
