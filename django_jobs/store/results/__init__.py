"""Results: their retention, and how they reach the jobs that depend on them."""
