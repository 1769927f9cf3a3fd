from datetime import timedelta

from celery.schedules import crontab

task_serializer = "json"
accept_content = ["json"]
timezone = "Europe/Berlin"
task_default_queue = "bakery"
task_routes = {"bakery.reports.*": {"queue": "reports"}}
beat_schedule = {
    "bake at night": {
        "task": "bakery.tasks.bake",
        "schedule": crontab(minute=30, hour="3,4", day_of_week="mon-fri"),
        "args": ("rye", 2),
        "options": {"queue": "night", "expires": 600},
    },
    "count": {"task": "bakery.reports.count", "schedule": timedelta(minutes=10), "kwargs": {"items": [1, 2]}},
}
