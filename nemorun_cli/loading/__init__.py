"""How `nemorun_cli.spec.load` gets from YAML to a resolved spec."""
