"""Python environments of tasks: found on this machine, or made in the home from requirements."""
