"""Arguments of jobs: bound to a signature, serialized as JSON, redacted for display."""
