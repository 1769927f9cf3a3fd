"""The schedules of django-celery-beat, brought here by ``manage.py jobs import-celery-beat``.

``tables``: its tables, as its migrations leave them; the package need not be installed. ``importing``: what each row
becomes, or why it cannot be said here.
"""
