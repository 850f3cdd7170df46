import nemorun_cli.nemo as run

executor = run.LeptonExecutor(container_image="nvcr.io/nvidia/nemo:dev", nemo_run_dir="/nemo-workspace")

with run.Experiment("lepton", executor=executor) as exp:
    exp.add(run.Script(inline="nvidia-smi"))
    exp.run()
