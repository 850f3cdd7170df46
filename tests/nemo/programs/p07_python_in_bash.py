import nemorun_cli.nemo as run

# Python without entrypoint="python": bash runs it, and fails
task = run.Script(inline="import sys\nprint('Hello', sys.version_info)\n")

with run.Experiment("python-in-bash") as exp:
    exp.add(task, executor=run.LocalExecutor(), name="hello")
    exp.run()
    exp.status()
