"""The functions that are made jobs: of which kind one is, where it is defined, whether workers import that place."""
