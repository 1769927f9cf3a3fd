"""Benchmarks: how fast the engine is on each database at hand, beside the fastest program without it."""
