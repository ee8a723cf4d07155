"""A database for programs of 2016: `python -m tests.e2e.old_mongodb ADDRESS PORT`.

It is not MongoDB: no distribution brings a mongod any more, and no Python package does. It is NX-27017, which keeps
documents in SQLite and answers in MongoDB's wire protocol, and it really stores, finds and sorts. It means to serve
drivers of today, and refuses older ones while they introduce themselves. Changed is what it answers to that, which is
said in the words of 2016, too; and the database that old drivers name outside of a command is put where today's put it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from nx_27017.handler import NeoSQLiteHandler
from nx_27017.server import run_server


class Patient(NeoSQLiteHandler):  # type: ignore[misc]  # the package has no types
    def handle_command(self, message: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        number, answer = super().handle_command(message)
        if "minWireVersion" in answer:
            answer |= {"ismaster": True, "minWireVersion": 0}
        return number, answer

    def handle_query(self, message: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
        if message["collection"] == "$cmd":
            command = message["query"]
            command.get("$query", command)["$db"] = message["db"]
        answer: tuple[int, list[dict[str, Any]]] = super().handle_query(message)
        return answer


if __name__ == "__main__":
    asyncio.run(run_server(sys.argv[1], int(sys.argv[2]), Patient()))
