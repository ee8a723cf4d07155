"""Where bytes lie: files by their digest, and the logs of builds, previews and preparations.

`Blobs` keeps and hands out content-addressed files. `LogWriter` writes a log, `BuildLog` reads one at any time, also
while it is written; `first_error` finds the line in it that a person looks for. The three `…_log_path` functions say
where a log lies.
"""

from __future__ import annotations

from releases.storage.blobs import Blobs
from releases.storage.cleaning import Mask, clean, secret_values
from releases.storage.first_error import FirstError, first_error
from releases.storage.log import BuildLog, LogLine
from releases.storage.paths import log_path, preparation_log_path, preview_log_path
from releases.storage.writer import LogWriter

__all__ = [
    "Blobs",
    "BuildLog",
    "FirstError",
    "LogLine",
    "LogWriter",
    "Mask",
    "clean",
    "first_error",
    "log_path",
    "preparation_log_path",
    "preview_log_path",
    "secret_values",
]
