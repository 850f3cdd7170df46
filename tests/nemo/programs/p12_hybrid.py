import nemorun_cli.nemo as run

executor = run.LocalExecutor(
    packager=run.HybridPackager(
        sub_packagers={
            "code": run.PatternPackager(include_pattern="simple/*.py", relative_path="."),
            "data": run.PatternPackager(include_pattern="scripts/*", relative_path="."),
        }
    )
)

with run.Experiment("hybrid", executor=executor) as exp:
    exp.add(run.Script(inline="find . -name '*.*' | sort"), name="list", tail_logs=True)
    exp.run()
