"""Connections to other packages, one a folder, and to Django's own parts; the rest of django_jobs uses none of them.

Only ``apps`` imports from here, when apps are ready, what registers jobs.
"""
