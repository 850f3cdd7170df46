"""The vocabulary of NeMo-Run: `import nemorun_cli.nemo as run`."""
