"""The sender: the process that ships what is marked in one outbox.

`turns.py` is its loop; `outgoing.py` ships one record or experiment.
"""
