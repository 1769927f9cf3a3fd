"""Searches for jobs and keys, by pages in bounded time, however large the tables."""
