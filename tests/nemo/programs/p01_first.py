import nemorun_cli.nemo as run

task_1 = run.Script(inline="echo one")

exp = run.Experiment("My Experiment")
with exp:
    exp.add(task_1, executor=run.LocalExecutor())
    exp.run()
    exp.status()
