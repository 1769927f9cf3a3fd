"""Diagnosis: stuck rows, the schema, the server, and why a job is not running."""
