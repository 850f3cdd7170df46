import nemorun_cli.nemo as run


def on_this_machine(place: str = "unknown") -> run.LocalExecutor:
    return run.LocalExecutor(env_vars={"PLACE": place})
