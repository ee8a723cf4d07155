"""What a browser's console says of a page."""

from __future__ import annotations

from playwright.sync_api import ConsoleMessage

NO_FAULTS = ("status of 422", "net::ERR_NETWORK_CHANGED")
"""Chromium also calls it an error when a form is refused, and breaks off what it loads when the machine gets or loses a
network, as it does with each container that is begun meanwhile."""


def is_fault(message: ConsoleMessage) -> bool:
    """Whether it is an error of the page's own."""
    return message.type == "error" and not any(words in message.text for words in NO_FAULTS)
