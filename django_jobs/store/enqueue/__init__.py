"""Insert jobs: plain, unique, at a later time."""
