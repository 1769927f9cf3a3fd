"""An app whose job consumes from a fake broker ``events``, for processes of tests, by ``DJANGO_JOBS_TEST_APPS``."""

FREEZES = "DJANGO_JOBS_TEST_FREEZES"
"""A variable of the environment: names the file whose taker stops itself."""
