import time

import nemorun_cli.nemo as run

with run.Experiment("detached") as exp:
    exp.add(run.Script(inline="echo begun; sleep 60"), name="long", tail_logs=False)
    exp.run(detach=True)

while exp.status(return_dict=True)["long"]["status"] != "RUNNING":
    time.sleep(0.02)
exp.status()
exp.logs("long", regex="beg.n|nothing")
exp.cancel("long")
print(exp.status(return_dict=True)["long"]["status"])
