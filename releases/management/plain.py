"""A command that answers people in sentences: what is wrong stands on stderr in one of them, never as a traceback."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand
from django.db import Error, OperationalError

from releases.errors import InvalidInput, StackError

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
POSITIONALS = ("name", "repository", "application", "ref")


class PlainCommand(BaseCommand):
    """Exits 2 with one sentence for bad input, 1 when the database does not answer."""

    requires_system_checks = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        # Of a “--” that is meant as a value, argparse makes an empty list.
        options |= {name: "--" for name in POSITIONALS if options.get(name) == []}
        try:
            return super().execute(*args, **options)
        except ValidationError as error:
            self.refuse(sentence_of(error))
        except (InvalidInput, StackError) as error:
            self.refuse(str(error))
        except OperationalError as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason was given"
            self.refuse(
                f"PostgreSQL does not answer ({reason}): start the portal with ./run, or correct DATABASE_URL.", FAILED
            )
        except Error as error:
            self.refuse(
                f"The database refused: {str(error).strip().splitlines()[0]}; is it migrated? ./run does that.", FAILED
            )

    def refuse(self, sentence: str, code: int = BAD_INPUT) -> NoReturn:
        """End with this sentence on stderr."""
        self.tell(sentence)
        sys.exit(code)

    def tell(self, sentence: str) -> None:
        """A line on stderr."""
        self.stderr.write(sentence)
        self.stderr.flush()


def sentence_of(error: ValidationError) -> str:
    """Each field with what is wrong with it, in one line."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    told = [
        f"{field}: {' '.join(said)}" if field != "__all__" else " ".join(said)
        for field, said in error.message_dict.items()
    ]
    return " ".join(told)
