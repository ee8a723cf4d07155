"""The Django project: settings, doors, set-up, and the supervisor of its processes."""

__version__ = "0.1.0"
