"""What runs claimed jobs: plain functions in threads, ``async def`` ones on an event loop."""
