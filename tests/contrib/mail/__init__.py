"""Mails as jobs, sent to a real SMTP server."""
