import nemorun_cli.nemo as run

with run.Experiment("reset") as exp:
    first = exp.add(run.Script(inline="echo a"), name="first")
    exp.add(run.Script(inline="echo b"), name="second", dependencies=[first])
    exp.run()

old = run.Experiment.from_title("reset")
with old.reset() as again:
    again.run()
    again.status()

print(len(run.Experiment.catalog("reset")), old.id != exp.id)
exp.reset()
exp.tasks[1].inline = "echo changed"
with exp:
    exp.run()
    exp.logs("second")
