"""Runs tasks as jobs of a Slurm cluster; the core uses only `executor`."""
