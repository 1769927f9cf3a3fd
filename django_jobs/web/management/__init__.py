"""Commands of ``manage.py`` that come with this app."""
