"""One spec made of several files: `extends`, `include`, shared executors and `--set`."""
