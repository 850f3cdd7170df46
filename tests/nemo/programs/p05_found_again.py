import nemorun_cli.nemo as run

with run.Experiment("found again") as exp:
    exp.add(run.Script(inline="echo found"), name="task")
    exp.run()

print(run.Experiment.catalog("found again") == [exp.id])
by_title = run.Experiment.from_title("found again")
by_id = run.Experiment.from_id(exp.id)
by_title.status()
by_id.logs("task")
by_id.cancel("task")
