"""Chaos: kill, freeze and cut at random moments while jobs of several kinds run, then audit."""
