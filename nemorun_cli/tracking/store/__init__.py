"""The files of a record: their paths, the format of rows and values, and the openings of the record."""
