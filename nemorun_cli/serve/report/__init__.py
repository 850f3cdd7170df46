"""The report of an experiment: what its page shows, in one HTML file that needs no server."""
