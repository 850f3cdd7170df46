"""A record's files: where they are, how rows and values are written, and who has the record open."""
