"""ML-Dash's API, so that its unmodified clients write records of this server; its ids, bodies and queries."""
