"""The Docker executor: `executor` implements the protocol with the other modules."""
