"""How a later save of a run's log replaces an earlier one on MySQL and MariaDB."""

# Assigned from left to right: the total, which decides about the others, comes last.
ON_DUPLICATE_KEY = """
ON DUPLICATE KEY UPDATE
    django_jobs_joblog.data = IF(%(total)s > django_jobs_joblog.total, %(data)s, django_jobs_joblog.data),
    django_jobs_joblog.head = IF(%(total)s > django_jobs_joblog.total, %(head)s, django_jobs_joblog.head),
    django_jobs_joblog.total = IF(%(total)s > django_jobs_joblog.total, %(total)s, django_jobs_joblog.total)
"""
