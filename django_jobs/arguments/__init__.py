"""Arguments of jobs: bound to a signature, serialized as JSON, filled in with results."""
