"""The tests of django_jobs. ``python3 tests`` runs them all, on every database at hand."""
