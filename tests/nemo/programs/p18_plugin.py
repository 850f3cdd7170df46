from dataclasses import dataclass

import nemorun_cli.nemo as run


def train(epochs: int, name: str = "model"):
    import os

    print(name, epochs, os.environ["SEED"], os.environ["EXPERIMENT"] in os.environ["EXP_DIR"])


@dataclass(kw_only=True)
class LongerRuns(run.Plugin):
    factor: int = 2

    def setup(self, task: run.Partial, executor: run.Executor):
        task.epochs *= self.factor
        executor.env_vars["SEED"] = "7"
        executor.env_vars["EXPERIMENT"] = self.experiment_id


task = run.Partial(train, epochs=5)
executor = run.LocalExecutor()

with run.Experiment("plugin", executor=executor) as exp:
    exp.add(task, name="train", plugins=[LongerRuns(factor=3)], tail_logs=True)
    print(task.epochs, executor.env_vars)
    exp.run()
