"""From a spec's YAML to a resolved `Spec`, or to all of its problems at once."""
