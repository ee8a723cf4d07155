"""The portal's doors: its pages, signing in and out, and the admin."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path
from django.utils.translation import gettext_lazy
from django.views.i18n import set_language

from releases.views.account import PasswordChange

admin.site.site_header = admin.site.site_title = "Release Portal"
admin.site.index_title = gettext_lazy("Every record")
urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("accounts/password/", PasswordChange.as_view(), name="password_change"),
    path("accounts/password/done/", auth.PasswordChangeDoneView.as_view(), name="password_change_done"),
    path("language/", set_language, name="set_language"),
    path("", include("releases.urls")),
]
handler400 = "releases.views.failure.refused"
handler500 = "releases.views.failure.show"
