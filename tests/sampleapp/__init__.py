"""A small app whose jobs and models the tests use."""
