"""An experiment on disk: its paths, its ledger and what the ledger adds up to, and the files of attempts."""
