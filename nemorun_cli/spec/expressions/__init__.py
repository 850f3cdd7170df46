"""Parses and evaluates expressions `${{ … }}`, and fills in their values."""
