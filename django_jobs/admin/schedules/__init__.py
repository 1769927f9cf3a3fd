"""Admin pages of schedules and their ticks."""
