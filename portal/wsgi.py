"""The door for gunicorn."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)

from portal.requests import Handler  # noqa: E402 (its middleware wants the settings)

application = Handler()
