"""Searches: Optuna's samplers and pruners, as functions of a rule and of the events of the ledger.

Only `sampler_process` runs this code, in a process of its own: the other processes never import Optuna.
"""
