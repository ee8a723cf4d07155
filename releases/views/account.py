"""A person's own account."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import PasswordChangeView
from django.db import transaction
from django.http import HttpResponse

from releases.models import Event


class PasswordChange(PasswordChangeView):
    """Django's page, with a line in the audit trail."""

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        name = form.user.get_username()
        Event.objects.record("account.password_changed", by=form.user, data={"account": name})
        return super().form_valid(form)
