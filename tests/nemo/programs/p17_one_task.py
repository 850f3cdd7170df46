import nemorun_cli.nemo as run
from simple.objects import add

configured = run.Partial(add, a=5, b=10)

run.run(configured)
run.run(configured, executor=run.LocalExecutor())
run.run(configured, executor=run.LocalExecutor(), dryrun=True)
run.run(run.Script(inline="echo script"), executor=run.LocalExecutor(), name="script", tail_logs=True)
