"""Expands the tasks of a spec, connects them by their dependencies, and checks each of their sections."""
