"""Batches: open and close them, count their finished jobs and enqueue their callbacks."""
