import nemorun_cli.nemo as run

executor = run.import_executor("on_this_machine", place="imported")

with run.Experiment("imported", executor=executor) as exp:
    exp.add(run.Script(inline="echo in $PLACE"), tail_logs=True)
    exp.run()
