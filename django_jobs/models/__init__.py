"""Floor 2: the tables. Rows are read here and written only by ``store``."""

from .attempt import Attempt
from .dead_letter import AlertedError, DeadLetter
from .job import Job
from .queue import Queue
from .schedule import CronSchedule, Tick
from .worker import Worker

__all__ = ["AlertedError", "Attempt", "CronSchedule", "DeadLetter", "Job", "Queue", "Tick", "Worker"]
