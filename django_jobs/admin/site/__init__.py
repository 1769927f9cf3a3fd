"""The parts that all admin pages share."""
