"""The pipeline of one worker process: claim jobs, hand them to executors, save how they ended."""
