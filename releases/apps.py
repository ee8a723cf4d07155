from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReleasesConfig(AppConfig):
    name = "releases"
    verbose_name = _("releases")

    def ready(self) -> None:
        from releases import people  # its models are there only now

        people.watch()
