"""A shop's tasks for django-q2, and moved by docs/how-to/django-q2.md."""
