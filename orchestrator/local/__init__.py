"""The services that a laptop lacks: embedded PostgreSQL and Valkey, supervised processes.

For development, the tutorial and the tests. In production each of these is somebody else's job: a
managed database, a process manager, a provider.
"""
