"""Chaos for messages: the brokers, an app that doubles every delivery, the bad day, the audit."""
