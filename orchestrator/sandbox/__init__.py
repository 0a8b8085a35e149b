"""A provider that ships with the product: the Videos API on this machine, with real videos.

It imports nothing of the rest of the orchestrator, just as any other provider's server does not.
"""
