"""The server: records and experiments over HTTP, for people, for programs, and as replicas of other machines.

Starlette and uvicorn come with the extra `[serve]`; nothing outside of this package imports them.
"""
