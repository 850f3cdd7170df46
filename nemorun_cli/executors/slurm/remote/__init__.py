"""A Slurm cluster behind ssh: the connection, the files sent there, and the results fetched back."""
