"""Reports about an experiment: why, doctor, diff, graph and dry run."""
