"""How records and experiments reach a server: the protocol, the client, tokens, and the sender.

`docs/internals/replication.md` is the contract.
"""
