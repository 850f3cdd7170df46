"""The tracking records that a command is about, their series, and how they compare."""
