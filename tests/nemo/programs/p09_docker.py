import nemorun_cli.nemo as run

executor = run.DockerExecutor(
    container_image="python:3.12",
    num_gpus=-1,
    runtime="nvidia",
    ipc_mode="host",
    shm_size="30g",
    volumes=["/local/path:/path/in/container"],
    env_vars={"PYTHONUNBUFFERED": "1"},
    packager=run.Packager(),
)

with run.Experiment("docker") as exp:
    exp.add(run.Script(inline="echo in a container"), executor=executor, name="hello")
    exp.dryrun()
