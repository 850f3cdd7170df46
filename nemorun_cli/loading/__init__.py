"""How `nemorun_cli.load` gets from YAML to a resolved spec."""
