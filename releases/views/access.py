"""An application's way into a private repository: a deploy key or an access token, which are never shown again."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from releases import access
from releases.errors import StorageError
from releases.forms import TokenForm
from releases.git import place_of, protocol_of
from releases.models import Application, Credential, CredentialKind
from releases.sentences import told
from releases.views import acting, say_if_waiting
from releases.views.application import find


@acting
@require_safe
def show(request: HttpRequest, name: str) -> HttpResponse:
    return _page(request, find(name))


@acting
@require_http_methods(["GET", "HEAD", "POST"])
def make_key(request: HttpRequest, name: str) -> HttpResponseBase:
    """Also in the place of one that is there; the page asks before."""
    application = find(name)
    if request.method == "POST":
        try:
            access.make_deploy_key(application, by=request.user)
        except StorageError as error:
            messages.error(request, told(error.message))
        else:
            messages.success(
                request, _("The deploy key is made: enter its public half at the host, then press Read the refs.")
            )
    return redirect("application-access", name)


@acting
@sensitive_post_parameters("token")
@require_http_methods(["GET", "HEAD", "POST"])
def set_token(request: HttpRequest, name: str) -> HttpResponseBase:
    application = find(name)
    if request.method != "POST":
        return redirect("application-access", name)
    form = TokenForm(request.POST)
    if not form.is_valid() or not form.ask(application, by=request.user):
        return _page(request, application, form)
    messages.success(request, _("The access token is kept; the refs are being read with it."))
    say_if_waiting(request)
    return redirect(application)


@acting
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, name: str, kind: str) -> HttpResponseBase:
    application = find(name)
    if kind not in CredentialKind.values:
        raise Http404(_("An application has a deploy key and an access token; nothing else can be removed here."))
    if request.method == "POST" and access.remove(application, CredentialKind(kind), by=request.user):
        words = {
            "key": _("The deploy key is removed: take its public half off the host, too."),
            "token": _("The access token is removed: have it revoked at the host, too."),
        }
        messages.success(request, words[kind])
    return redirect("application-access", name)


def _page(request: HttpRequest, application: Application, form: TokenForm | None = None) -> HttpResponse:
    kept = {row.kind: row for row in Credential.objects.filter(application=application).select_related("set_by")}
    token = kept.get(CredentialKind.TOKEN)
    protocol, place = protocol_of(application.repository), place_of(application.repository)
    context = {
        "application": application,
        "protocol": protocol,
        "place": place,
        "key": kept.get(CredentialKind.KEY),
        "token": token,
        "elsewhere": token is not None and token.place != place,
        "form": form or TokenForm(account=token.account if token else ""),
    }
    return render(request, "application/access.html", context, status=422 if form is not None else 200)
