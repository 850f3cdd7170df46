"""Records as commands and the supervisor use them: found, read, followed and closed."""
