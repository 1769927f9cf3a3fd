"""Floor 6: what templates load by ``{% load django_jobs %}``."""
