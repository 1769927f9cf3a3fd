"""Admin pages of dead letters."""
