"""Batches: open and close them, and count how their jobs ended."""
