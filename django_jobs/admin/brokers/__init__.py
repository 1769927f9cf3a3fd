"""The page Brokers: what waits to be sent, sources, pause, resume and replay."""
