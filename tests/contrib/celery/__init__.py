"""``django_jobs.contrib.celery``. ``original/`` is a project written for Celery, which runs with imports changed."""
