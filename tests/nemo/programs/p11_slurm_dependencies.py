import nemorun_cli.nemo as run

slurm = run.SlurmExecutor(account="vision", time="00:02:00", packager=run.Packager())
after_any = slurm.clone()
after_any.dependency_type = "afterany"

with run.Experiment("slurm-dependencies", executor=slurm) as exp:
    first = exp.add(run.Script(inline="echo first; exit 3"), name="first")
    exp.add(run.Script(inline="echo second"), name="second", executor=after_any, dependencies=[first])
    exp.run(detach=False)
    exp.status()
    exp.logs("second")
