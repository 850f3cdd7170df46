"""Parses the YAML of specs and locates values in the text."""
