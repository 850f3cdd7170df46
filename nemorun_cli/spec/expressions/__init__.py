"""Expressions `${{ … }}`: found, filled in and evaluated."""
