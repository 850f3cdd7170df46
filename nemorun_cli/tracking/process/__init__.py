"""The process that tracks: how it ends, what it runs on, and the code it was started from."""
