"""Statements that several databases share."""
