"""Jobs of a Slurm cluster: `executor` is what the core talks to, the others are what it is made of."""
