"""The baseline: what one writes first. Flask, an ORM session per request, a row lock on the quota,
and Celery's `delay()` after the commit; with API keys, without idempotency.
"""
