"""The verbs that move a job from state to state: one verb a file, each one guarded statement or one transaction."""
