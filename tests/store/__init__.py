"""One suite, unchanged on every database."""
