"""The executors of claimed jobs: threads for plain functions, an event loop for ``async def`` ones, job processes."""
