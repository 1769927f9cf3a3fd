"""Tests without a database, one file a module of the package."""
