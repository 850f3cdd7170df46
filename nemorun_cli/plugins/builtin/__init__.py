"""The plugins that are installed with `exp`, one module each."""
