from django.core.management import BaseCommand


class Command(BaseCommand):
    help = "Is not the worker of django_jobs."
