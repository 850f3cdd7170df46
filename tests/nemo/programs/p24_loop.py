import nemorun_cli.nemo as run


def train(lr: float):
    print("lr", lr)


with run.Experiment("loop") as exp:
    for lr in (0.1, 0.01, 0.001):
        exp.add(run.Partial(train, lr=lr), name="train", tail_logs=True)
    exp.run()
