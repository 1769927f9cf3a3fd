"""What is added together is taken together, and counted one by one."""

from __future__ import annotations

from django_jobs.worker.threads.batch_queue import BatchQueue


def test_items_that_were_added_together_are_in_one_batch() -> None:
    queue: BatchQueue[int] = BatchQueue(max_items=3)
    queue.put(1)
    queue.put_all([2, 3, 4, 5])
    queue.put(6)
    assert len(queue) == 6
    assert queue.take() == [1, 2, 3, 4, 5]
    assert len(queue) == 1
    queue.close()
    assert (queue.take(), queue.is_ended, len(queue)) == ([6], True, 0)
