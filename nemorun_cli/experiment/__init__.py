"""What a user can do with an experiment: launch, find, cancel, resume, and change its spec."""
