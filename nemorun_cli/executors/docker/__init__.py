"""Containers of a Docker engine: `executor` is what the core talks to, the others are what it is made of."""
