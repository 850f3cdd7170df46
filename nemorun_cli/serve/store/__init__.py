"""The replicas of a server that collects: how bytes of records and experiments get to its disk."""
