"""Admin pages of jobs."""
