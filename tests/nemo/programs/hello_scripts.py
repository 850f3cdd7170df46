from simple.objects import Sizes, add_sizes, usual_sizes

import nemorun_cli.nemo as run

if __name__ == "__main__":
    script = run.Script("./scripts/echo.sh")
    inline_script = run.Script(
        inline="""
env | grep -c EXP_
echo "Hello 1"
"""
    )
    fn = run.Partial(
        add_sizes,
        first=usual_sizes(),
        second=run.Config(Sizes, one=10, two=20, three=30),
    )
    executor = run.LocalExecutor()

    with run.Experiment("experiment_with_scripts", executor=executor, log_level="WARN") as exp:
        exp.add(script, tail_logs=True)
        exp.add(inline_script, tail_logs=True)
        exp.add(fn, tail_logs=True)
        exp.run(detach=False)
        exp.status()
