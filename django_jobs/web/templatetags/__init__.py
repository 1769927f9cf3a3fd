"""Template tags: ``{% load django_jobs %}``."""
