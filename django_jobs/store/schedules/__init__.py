"""Cron schedules: their rows, and the ticks that fire jobs."""
