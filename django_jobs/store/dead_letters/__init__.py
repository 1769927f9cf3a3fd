"""Dead letters: search, groups by error, resolve, alerts."""
