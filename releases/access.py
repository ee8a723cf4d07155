"""What a person may ask about an application's way into its repository; each is an Event, and none tells a secret.

Here secrets are sealed and never opened: that is the worker's, which runs git.
"""

from __future__ import annotations

from django.conf import settings
from django.db import connection, transaction
from django.views.decorators.debug import sensitive_variables

from releases import actions
from releases.errors import InvalidInput, say
from releases.git import place_of
from releases.models import Actor, Application, Credential, CredentialKind, Event
from releases.vault.pairs import new_pair
from releases.vault.sealing import sealed

SHORTEST_TOKEN, LONGEST_TOKEN, LONGEST_ACCOUNT = 8, 500, 100
CHANGING = 7206401332
"""The lock that whoever seals and whoever changes the portal's key take turns by."""


@transaction.atomic
@sensitive_variables()
def make_deploy_key(application: Application, *, by: Actor) -> Credential:
    """Make a new key pair; one that was there is gone with it. Raises `StorageError` when nothing can be sealed."""
    private, public = new_pair(f"{application.name}@release-portal-{settings.PORTAL_INSTANCE}")
    row = Credential(kind=CredentialKind.KEY, public_key=public)
    before = _put(application, row, private, by)
    facts = {"fingerprint": row.fingerprint, "replaced": before.fingerprint if before else ""}
    Event.objects.record("access.key_made", by=by, application=application, data=facts)
    return row


@sensitive_variables()
def set_token(application: Application, account: str, token: str, *, by: Actor) -> Credential:
    """Keep an access token for the host that the repository has now, and have the refs read with it.

    Raises `InvalidInput` with the field, and `StorageError` when nothing can be sealed."""
    account, token, place = account.strip(), token.strip(), place_of(application.repository)
    if not place:
        raise InvalidInput(
            say(
                "A token is for an address that begins with https://: change the repository's address, or make a "
                "deploy key."
            ),
            field="token",
        )
    _check(account, token)
    row = Credential(kind=CredentialKind.TOKEN, account=account, place=place)
    with transaction.atomic():  # as a decorator it would hold the token in a frame that nobody can mark
        _put(application, row, token, by)
        facts = {"username": account, "host": place}
        Event.objects.record("access.token_set", by=by, application=application, data=facts)
        actions.refresh_refs(application, by=by)
    return row


@transaction.atomic
def remove(application: Application, kind: CredentialKind, *, by: Actor) -> bool:
    """False when there was none."""
    row = Credential.objects.select_for_update().filter(application=application, kind=kind).first()
    if row is None:
        return False
    row.delete()
    verb = "access.key_removed" if kind == CredentialKind.KEY else "access.token_removed"
    facts = {"fingerprint": row.fingerprint, "username": row.account, "host": row.place}
    told = {name: value for name, value in facts.items() if value}
    Event.objects.record(verb, by=by, application=application, data=told)
    return True


@sensitive_variables()
def _put(application: Application, row: Credential, secret: str, by: Actor) -> Credential | None:
    """In the place of what was there, which is given."""
    take_turns()
    before = Credential.objects.filter(application=application, kind=row.kind).first()
    if before is not None:
        before.delete()
    row.application, row.set_by_id = application, by.pk if by is not None else None
    row.sealed = sealed(settings.SECRETS_KEY, secret, row.about)
    row.save()
    row.refresh_from_db(fields=["set_at"])
    return before


def take_turns() -> None:
    """Until the transaction ends: a secret must not be sealed with a key that is being given up."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHANGING])


@sensitive_variables()
def _check(account: str, token: str) -> None:
    if not account or len(account) > LONGEST_ACCOUNT or not account.isprintable() or ":" in account or " " in account:
        raise InvalidInput(
            say("Write the user name that belongs to the token, without spaces and “:”; many hosts take any name."),
            field="account",
        )
    if (
        not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN
        or not token.isascii()
        or not token.isprintable()
        or " " in token
    ):
        raise InvalidInput(
            say(
                "Write the token as the host showed it: %(least)s to %(most)s plain characters without spaces.",
                least=SHORTEST_TOKEN,
                most=LONGEST_TOKEN,
            ),
            field="token",
        )
