"""Operations that move a job from state to state: one per file, each one guarded statement or one transaction."""
