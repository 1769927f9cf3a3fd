"""``manage.py jobs top``: the dashboard, live in a terminal."""
