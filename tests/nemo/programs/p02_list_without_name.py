import nemorun_cli.nemo as run

task_2, task_3 = run.Script(inline="echo two"), run.Script(inline="echo three")

with run.Experiment("My Experiment") as exp:
    exp.add([task_2, task_3], executor=run.LocalExecutor())
    exp.run()
