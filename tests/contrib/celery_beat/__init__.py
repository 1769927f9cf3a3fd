"""The import of django-celery-beat's entries, from its own tables."""
