"""Longer answers about an experiment: why, doctor, diff, graph and dry run."""
