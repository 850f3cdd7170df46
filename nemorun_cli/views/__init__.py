"""The state of an experiment, read from its ledger and its attempts; prints nothing."""
