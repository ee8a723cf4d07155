"""What an application shows to the host of its repository: a deploy key, or an access token; sealed, never shown."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from releases.models.application import Application
from releases.models.checks import known
from releases.specs import fingerprint


class CredentialKind(models.TextChoices):
    KEY = "key", _("deploy key")
    TOKEN = "token", _("access token")


class Credential(models.Model):
    """At most one of a kind for an application. A new one is another row: nothing of the old one stays."""

    application = models.ForeignKey(
        Application, models.PROTECT, related_name="credentials", verbose_name=_("application")
    )
    kind = models.CharField(_("kind"), max_length=10, choices=CredentialKind.choices)
    sealed = models.TextField(
        _("sealed"), editable=False, help_text=_("Encrypted with the portal's key, which is not in the database.")
    )
    public_key = models.TextField(_("public key"), blank=True, help_text=_("Of a deploy key, as OpenSSH writes it."))
    account = models.CharField(_("user name"), max_length=100, blank=True, help_text=_("Of an access token."))
    place = models.CharField(
        _("host"), max_length=300, blank=True, help_text=_("Which alone is given the access token.")
    )
    set_at = models.DateTimeField(_("set at"), db_default=Now())
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("set by")
    )

    class Meta:
        ordering = ["application", "kind"]
        verbose_name = _("key or token of an application")
        verbose_name_plural = _("keys and tokens of applications")
        constraints = [
            models.UniqueConstraint(fields=["application", "kind"], name="credential_one_of_a_kind"),
            known("credential", "kind", CredentialKind),
            models.CheckConstraint(
                condition=(Q(kind="key", account="", place="") & ~Q(public_key=""))
                | (Q(kind="token", public_key="") & ~Q(account="") & ~Q(place="")),
                name="credential_says_what_it_is",
            ),
            models.CheckConstraint(condition=Q(sealed__startswith="gAAAA"), name="credential_is_sealed"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.application}"

    @property
    def fingerprint(self) -> str:
        """Of a deploy key; empty for a token."""
        return fingerprint(self.public_key) if self.public_key else ""

    @property
    def about(self) -> dict[str, str]:
        """What it is sealed together with: it opens for no other application, key or host."""
        return {
            "application": str(self.application_id),
            "kind": self.kind,
            "public_key": self.public_key,
            "account": self.account,
            "place": self.place,
        }
