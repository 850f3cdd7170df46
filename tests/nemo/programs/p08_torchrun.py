import nemorun_cli.nemo as run

executor = run.LocalExecutor(ntasks_per_node=2, launcher="torchrun", env_vars={"NCCL_DEBUG": "INFO"})

with run.Experiment("torchrun", executor=executor) as exp:
    exp.add(run.Script("python train.py"), name="train")
    exp.dryrun()
