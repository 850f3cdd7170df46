"""How an experiment stands, read from its ledger and its attempts; writes nothing to a screen."""
