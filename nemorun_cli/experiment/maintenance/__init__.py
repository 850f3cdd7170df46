"""Checking, repairing and removing experiments."""
