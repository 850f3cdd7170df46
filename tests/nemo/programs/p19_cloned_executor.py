import nemorun_cli.nemo as run

with run.Experiment("cloned", executor=run.LocalExecutor(env_vars={"PLACE": "first"})) as exp:
    other = exp.executor.clone()
    other.env_vars["PLACE"] = "second"
    exp.add(run.Script(inline="echo in $PLACE"), name="one", tail_logs=True)
    exp.add(run.Script(inline="echo in $PLACE"), name="two", executor=other, tail_logs=True)
    exp.run(sequential=True)
