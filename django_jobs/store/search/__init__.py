"""Pages of jobs and keys in bounded time, however large the tables."""
