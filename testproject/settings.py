"""Settings of the shop: SQLite in the output folder, mail over SMTP, jobs in the same database.

The demo tells by the environment where its servers listen; without it the usual places are taken, so that
``manage.py`` can look into what the last demo left.
"""

from __future__ import annotations

import os
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = Path(os.environ.get("SHOP_OUTPUT", ROOT / "demo-output"))

SECRET_KEY = "of a shop that sells nothing"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "testproject.urls"
WSGI_APPLICATION = "testproject.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = OUTPUT / "media"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": OUTPUT / "shop.sqlite3",
        # SQLite has one writer at a time: a request or a job that opens a transaction waits for its turn at the
        # start of it. Otherwise it would fail as "database is locked" where it first writes after a read.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}

# In the database, so that the web server sees what a worker has put there.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "shop_cache"}}

INSTALLED_APPS = [
    "django_jobs",
    "django_jobs.web",
    "testproject.shop",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

SMTP = {"host": "127.0.0.1", "port": int(os.environ.get("SHOP_SMTP_PORT", "2525")), "timeout": 10}
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": SMTP}}
else:
    EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = SMTP["host"], SMTP["port"], SMTP["timeout"]
DEFAULT_FROM_EMAIL = "The Shop <shop@example.org>"
SERVER_EMAIL = "worker@example.org"
ADMINS = ["staff@example.org"] if django.VERSION >= (6, 0) else [("Staff", "staff@example.org")]

SHOP_PARTNERS_URL = os.environ.get("SHOP_PARTNERS_URL", "http://127.0.0.1:8025")
SHOP_REVIEW_AFTER = timedelta(seconds=2)  # two weeks in a shop with more patience

TASKS = {"default": {"BACKEND": "django_jobs.contrib.tasks.JobsBackend", "QUEUES": []}}
# "database:" needs no server: a message is, in the same transaction, a job of this shop. With the URL of a RabbitMQ,
# such as amqp://guest:guest@localhost, "manage.py jobs consume" makes messages jobs; nothing else changes.
SHOP_BROKER = os.environ.get("SHOP_BROKER", "database:")
DJANGO_JOBS = {
    "BROKERS": {
        "events": {
            "url": SHOP_BROKER,
            "options": {"create_queues": True} if SHOP_BROKER.startswith("amqp") else {},
        }
    },
    "RELEASE": os.environ.get("SHOP_RELEASE"),  # what the image was built of, such as a Git SHA; None: not known
    "QUEUES": {
        "emails": {"max_attempts": 8, "timeout": timedelta(seconds=30)},
        "pictures": {"priority": -5},  # mails and invoices go first
    },
    "WORKER": {"HEARTBEAT_INTERVAL": timedelta(seconds=1), "STALE_AFTER": timedelta(seconds=10)},
    "RETENTION": {"SUCCEEDED": timedelta(days=1)},
    "ALERTS": {"MAIL_ADMINS": True},
    "METRICS": {"PROMETHEUS": find_spec("prometheus_client") is not None},  # the extra [prometheus]
}
