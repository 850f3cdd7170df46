"""Access to records for commands and the supervisor: finding, reading, following and closing."""
