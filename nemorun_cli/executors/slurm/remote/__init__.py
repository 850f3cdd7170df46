"""A Slurm cluster behind ssh: its commands, and what differs from any other remote host."""
