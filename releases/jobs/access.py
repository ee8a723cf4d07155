"""The worker's half of an application's way into its repository: here, and nowhere else, what was sealed is opened."""

from __future__ import annotations

from functools import partial

from django.conf import settings

from releases.errors import Sentence, SourceUnavailable, StorageError, say
from releases.git import Git, place_of, protocol_of
from releases.models import Application, Credential, CredentialKind
from releases.specs import Access, AccessKind
from releases.vault.opening import opened

KINDS: dict[str, AccessKind] = {"ssh": "key", "https": "token", "http": "token"}


def git_of(application: Application) -> Git:
    """git, which shows to the host what the application has for it, whenever it fetches."""
    return Git.from_settings(partial(access_to, application))


def access_to(application: Application, url: str) -> Access | None:
    """What the application has for this address; a token is for the host alone that it was set for. Raises
    `SourceUnavailable` when it cannot be opened."""
    kind = KINDS.get(protocol_of(url))
    row = Credential.objects.filter(application=application, kind=kind, place=place_of(url)).first() if kind else None
    if row is None or kind is None:
        return None
    try:
        secret = opened(settings.SECRETS_KEY, row.sealed, row.about)
    except StorageError as error:
        raise SourceUnavailable(_closed(row, error)) from error
    return Access(kind=kind, secret=secret, user=row.account, place=row.place)


def secrets_of(application: Application) -> list[str]:
    """What no log of the application's may hold. What cannot be opened cannot be shown to anybody either."""
    found = []
    for row in Credential.objects.filter(application=application):
        try:
            found.append(opened(settings.SECRETS_KEY, row.sealed, row.about))
        except StorageError:
            continue
    return found


def _closed(row: Credential, error: StorageError) -> Sentence:
    if row.kind == CredentialKind.KEY:
        return say(
            "The deploy key of %(application)s cannot be opened with this portal's key: make a new one on the "
            "application's settings. (%(why)s)",
            application=row.application.name,
            why=error.message,
        )
    return say(
        "The access token of %(application)s cannot be opened with this portal's key: enter it again on the "
        "application's settings. (%(why)s)",
        application=row.application.name,
        why=error.message,
    )
