"""An experiment on disk: its paths, its ledger, the state folded from it, and the files of attempts."""
