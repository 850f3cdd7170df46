"""Operations on an experiment: launch, find, cancel, resume, and change its spec."""
