"""YAML as specs are written in it, with the place of every value."""
