"""The plugins installed with `exp`, one module each."""
