"""The tracking records that a command selects, their series, and their comparison."""
