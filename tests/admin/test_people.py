"""Accounts and groups in the admin: who gave whom which right is told."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from releases.models import Event
from tests import factories

ACCOUNT = {
    "username": "vera", "first_name": "", "last_name": "", "email": "", "is_active": "on",
    "date_joined_0": "2026-01-01", "date_joined_1": "12:00:00",
}  # fmt: skip


def told(verb: str) -> list[tuple[str, dict[str, object]]]:
    return [(event.actor_name, event.data) for event in Event.objects.filter(verb=verb).order_by("id")]


def page(user: User, end: str = "change/") -> str:
    return f"/admin/auth/user/{user.pk}/{end}"


def test_new_account_is_told(admin: Client) -> None:
    fields = {"username": "vera", "password1": "quince-pear-9", "password2": "quince-pear-9", "usable_password": "true"}
    answer = admin.post("/admin/auth/user/add/", fields)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    [(_who, data)] = told("account.created")
    assert (data["account"], data["is_superuser"], data["groups"]) == ("vera", False, [])
    assert "quince" not in str(data)


def test_rights_are_told_before_and_after(admin: Client) -> None:
    vera = factories.user(role="viewers", username="vera")
    managers = Group.objects.get(name="release managers")
    permission = Permission.objects.get(codename="view_event")
    fields = {**ACCOUNT, "groups": [managers.pk], "user_permissions": [permission.pk], "is_staff": "on"}
    answer = admin.post(page(vera), fields)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    [(who, data)] = told("account.changed")
    assert who
    assert data == {
        "account": "vera",
        "groups": [["viewers"], ["release managers"]],
        "permissions": [[], ["releases.view_event"]],
        "is_staff": [False, True],
    }
    admin.post(page(vera), fields)
    assert len(told("account.changed")) == 1
    assert "changed an account" in admin.get("/audit/").text


def test_password_set_by_another_is_told(admin: Client) -> None:
    vera = factories.user(username="vera")
    both = {"password1": "a", "password2": "b", "usable_password": "true"}
    admin.post(page(vera, "password/"), both)
    assert told("account.password_changed") == []
    both = dict.fromkeys(("password1", "password2"), "quince-pear-9") | {"usable_password": "true"}
    admin.post(page(vera, "password/"), both)
    [(_who, data)] = told("account.password_changed")
    assert data == {"account": "vera"}


def test_deleted_accounts_are_told(admin: Client) -> None:
    one, two = factories.user(username="one"), factories.user(username="two")
    admin.post(page(one, "delete/"), {"post": "yes"})
    admin.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": [two.pk], "post": "yes"})
    assert [data["account"] for _who, data in told("account.deleted")] == ["one", "two"]
    assert not User.objects.filter(username__in=["one", "two"]).exists()


def test_group_is_told(admin: Client) -> None:
    see = Permission.objects.get(codename="view_build")
    admin.post("/admin/auth/group/add/", {"name": "auditors", "permissions": [see.pk]})
    group = Group.objects.get(name="auditors")
    admin.post(f"/admin/auth/group/{group.pk}/change/", {"name": "auditors", "permissions": []})
    admin.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"})
    assert [data for _who, data in told("group.created")] == [
        {"group": "auditors", "permissions": ["releases.view_build"]}
    ]
    assert [data["permissions"] for _who, data in told("group.changed")] == [[["releases.view_build"], []]]
    assert [data for _who, data in told("group.deleted")] == [{"group": "auditors"}]
