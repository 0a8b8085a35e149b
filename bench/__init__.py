"""Measures what the orchestrator does on this machine, against the machine's limits, a naive
implementation and its peers. `python -m bench --help` says how.
"""
