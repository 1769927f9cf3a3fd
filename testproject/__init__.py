"""A small shop that uses every feature of django_jobs, and the settings of the tests."""
