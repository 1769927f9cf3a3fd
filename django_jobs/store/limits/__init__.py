"""Limits: permits of jobs, admission of waiting jobs, release at the end of a run."""
