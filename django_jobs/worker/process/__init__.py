"""The operating-system processes of a worker: supervisor, children, signals, health."""
