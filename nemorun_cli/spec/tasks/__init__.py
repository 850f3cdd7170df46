"""The tasks of a resolved spec: expanded, connected, and each section of them checked."""
