"""Counts and rollups that the admin and the commands read."""
