"""Enqueue jobs that depend on one another."""
