"""Floor 0: what should happen. Pure decisions: no Django, no clock, no database, no randomness of their own."""
