"""Home of the classes made for ``django.tasks``: ``roots`` makes them, and pickle imports them from here."""

from . import roots  # noqa: F401 - it fills this module
