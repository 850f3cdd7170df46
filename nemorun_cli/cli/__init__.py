"""The command line: parses, calls, prints and exits; the only layer that writes to a terminal."""
