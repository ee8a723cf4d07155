"""The only room that starts a git process.

`check_repository` and `check_ref` judge what a person typed, without a process. `Git` keeps one bare mirror per
application and reads from it. `make_repository` writes a small repository from given files (the demo's).
"""

from __future__ import annotations

from releases.git.address import check_ref, check_repository, place_of, protocol_of
from releases.git.making import Version, make_repository
from releases.git.mirrors import Git
from releases.git.showing import sweep

__all__ = ["Git", "Version", "check_ref", "check_repository", "make_repository", "place_of", "protocol_of", "sweep"]
