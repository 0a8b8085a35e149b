"""Celery in, a use case out."""
