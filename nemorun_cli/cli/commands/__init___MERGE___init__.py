"""One module a command, with a function `command` that the frame in `cli` builds and runs."""
