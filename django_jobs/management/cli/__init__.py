"""Verbs of ``manage.py jobs`` by subject: the options of each, and what it prints."""
