"""Pure decisions: no Django, no database, no clock, no randomness; callers pass ``now`` and a random source."""
