"""An app of jobs that misbehave, each in one way, and of good jobs that are not to notice."""
