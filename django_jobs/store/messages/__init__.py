"""Messages of brokers: positions of logs, ids that were received, sources and their consumers, outages."""
