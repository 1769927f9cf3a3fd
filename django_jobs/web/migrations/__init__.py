"""Migrations of the tokens' table."""
