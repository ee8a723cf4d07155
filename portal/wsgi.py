"""The door for gunicorn."""

import gc
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)

from django.urls import get_resolver  # noqa: E402 (wants the settings)

from portal.requests import Handler  # noqa: E402 (its middleware wants them)

application = Handler()
# All pages are read before the processes part, and left out when each looks for what it can forget: that search stopped
# every request for 40 ms now and then, and takes 2 to 6 ms without them.
_ = get_resolver().url_patterns
gc.freeze()
