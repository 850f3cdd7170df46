import nemorun_cli.nemo as run


def your_slurm_executor(nodes: int = 1, container_image: str = "nvcr.io/nvidia/nemo:dev"):
    tunnel = run.SSHTunnel(host="login.cluster", user="me", job_dir="/scratch/me/runs", identity="~/.ssh/id")
    packager = run.GitArchivePackager(subpath=".")
    executor = run.SlurmExecutor(
        account="your_account",
        partition="your_partition",
        nodes=nodes,
        ntasks_per_node=8,
        gpus_per_node=8,
        mem="0",
        exclusive=True,
        time="00:30:00",
        container_mounts=["/data:/data"],
        tunnel=tunnel,
        packager=packager,
    )
    executor.container_image = container_image
    executor.env_vars = {"NCCL_IB_SL": "1"}
    executor.retries = 1
    return executor


with run.Experiment("slurm", executor=your_slurm_executor(nodes=2)) as exp:
    exp.add(run.Script("train.py", entrypoint="python"), name="train")
    exp.dryrun()
