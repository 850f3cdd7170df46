import nemorun_cli.nemo as run

with run.Experiment("quickstart") as exp:
    exp.add(run.Script("python train.py --lr 0.5"), name="train", tail_logs=True)
    exp.run()
