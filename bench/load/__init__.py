"""The load generator: keeps connections open and busy, and tells how long the answers took."""
