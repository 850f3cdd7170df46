"""Machines behind ssh that have no scheduler: a task starts on a host with free capacity."""
