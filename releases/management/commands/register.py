"""Register an application from the shell, with the same checks as on the page."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from releases import actions
from releases.management.plain import PlainCommand
from releases.models import BudgetPolicyChoices, ProbePolicyChoices

BUDGETS = (
    ("image", "MB", "the largest image that is meant to be released, in megabytes of 1,000,000 bytes"),
    ("archive", "MB", "the largest app.tar.gz"),
    ("growth", "PERCENT", "by how much an image may be larger than that of the last release"),
)


def entry_point(value: str) -> tuple[str, str]:
    """`module:callable`."""
    module, colon, name = value.partition(":")
    if not (module and colon and name):
        raise ArgumentTypeError(f"write it as module:callable, such as shop.wsgi:application, not “{value}”")
    return module, name


def variable(value: str) -> tuple[str, str]:
    """`NAME=value`."""
    name, equals, text = value.partition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"write it as NAME=value, not “{value[:60]}”")
    return name, text


def budget(value: str) -> tuple[int, str]:
    """`45` warns, `45:fail` fails."""
    amount, _, policy = value.partition(":")
    if not amount.isdecimal() or len(amount) > 9 or policy not in ("", *BudgetPolicyChoices.values):
        raise ArgumentTypeError(f"write a whole number, with :fail behind it where it must be kept, not “{value[:60]}”")
    return int(amount), policy or BudgetPolicyChoices.WARN.value


class Command(PlainCommand):
    help = "Register an application: a git repository that is released."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="short and lasting, such as fruit-shop")
        parser.add_argument(
            "repository", help="what git clones from: https, ssh, or file below PORTAL_LOCAL_REPOSITORIES"
        )
        parser.add_argument("--stack", help="the folder with builder and runner (default: the portal's default stack)")
        parser.add_argument("--entry-point", type=entry_point, metavar="MODULE:CALLABLE", help="default: app:app")
        parser.add_argument("--directory", help="the working folder in the repository (default: app)")
        parser.add_argument(
            "--requirements", help="the requirements file in the repository (default: requirements.txt)"
        )
        parser.add_argument("--probe-path", help="what is asked of the booted image (default: /)")
        parser.add_argument("--probe", choices=ProbePolicyChoices.values, help="default: record")
        parser.add_argument(
            "--rule",
            metavar="PATTERNS",
            help="build new tags that match by themselves, such as 'v*, !*-rc*' (default: never)",
        )
        parser.add_argument(
            "--env",
            type=variable,
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="for probe and previews; repeatable",
        )
        for name, unit, what in BUDGETS:
            parser.add_argument(
                f"--{name}-budget", type=budget, metavar=f"{unit}[:fail]",
                help=f"{what}; a larger release warns, with :fail it fails",
            )  # fmt: skip

    def handle(self, *_args: Any, **options: Any) -> None:
        fields = {
            name: options[name]
            for name in ("stack", "directory", "requirements", "probe_path", "rule")
            if options[name]
        }
        if options["entry_point"]:
            fields["module"], fields["callable"] = options["entry_point"]
        if options["probe"]:
            fields["probe_policy"] = options["probe"]
        for field, name in (
            ("image_budget_mb", "image"),
            ("archive_budget_mb", "archive"),
            ("growth_budget", "growth"),
        ):
            if options[f"{name}_budget"]:
                fields[field], fields[f"{name}_budget_policy"] = options[f"{name}_budget"]
        application = actions.register_application(
            by=None, name=options["name"], repository=options["repository"], environment=dict(options["env"]), **fields
        )
        self.stdout.write(f"{application} is registered: {application.repository}")
        if not actions.queue_answers():
            self.tell("Redis does not answer, so the refs are read when it is back.")
