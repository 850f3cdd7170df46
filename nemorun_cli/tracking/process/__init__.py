"""The tracked process: how it ends, its machine, and the code it was started from."""
