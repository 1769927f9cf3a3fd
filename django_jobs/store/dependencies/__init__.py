"""Dependencies between jobs: who waits for whom, and what the end of one means for the others."""
