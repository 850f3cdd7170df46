import nemorun_cli.nemo as run

fast = run.Script(inline='echo "Hello"')
slow = run.Script(inline="sleep 0.05; echo slept")

with run.Experiment("dag-experiment", log_level="INFO") as exp:
    id1 = exp.add([fast, slow], tail_logs=False, name="task-1")
    id2 = exp.add([fast, slow], tail_logs=False, name="task-2")
    exp.add([fast, slow], tail_logs=False, name="task-3", dependencies=[id1, id2])
    exp.run(detach=False, sequential=False, tail_logs=False, direct=False)
