"""Reading a page as a person does: its words without the markup."""

from __future__ import annotations

import html
import re
from typing import cast

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import Client

_MARKUP = re.compile(r"<(script|style|symbol|noscript)\b.*?</\1>|<[^>]*>", re.DOTALL)


def body(response: HttpResponseBase) -> str:
    """The answer's text, streamed or not."""
    data = b"".join(response) if isinstance(response, StreamingHttpResponse) else cast(HttpResponse, response).content
    return str(data.decode())


def source(response: HttpResponseBase) -> str:
    """The markup with every run of white space as one blank, so that a template's layout does not matter."""
    return re.sub(r"\s+", " ", body(response)).replace(" >", ">")


def words(response: HttpResponseBase) -> str:
    """What the page says, in one line of plain words."""
    return re.sub(r"\s+", " ", html.unescape(_MARKUP.sub(" ", body(response)))).strip()


def see(client: Client, address: str, status: int = 200) -> str:
    """Open a page and read it; the status must be as expected."""
    response = client.get(address)
    assert response.status_code == status, (address, response.status_code)
    return words(response)


def filled_buttons(page: str) -> list[str]:
    """The words of each filled button: at most one a page."""
    found = re.findall(r'<(a|button)[^>]*class="[^"]*\bbtn-primary\b[^"]*"[^>]*>(.*?)</\1>', page, re.DOTALL)
    return [re.sub(r"\s+", " ", _MARKUP.sub(" ", inner)).strip() for _tag, inner in found]
