"""Turns the YAML of a spec into a resolved `Spec`, or reports all of its problems at once."""
