"""The process that drives one experiment: its loop, the executors it calls, and the records it tracks."""
