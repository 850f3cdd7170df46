"""The local machine: files, locks, slots, hardware, threads and the environment."""
