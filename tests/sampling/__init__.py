"""An app for workers of tests that sample the backlog at any second of a minute, so that no test waits for the next."""
