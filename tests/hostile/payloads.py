"""What a build may print, and a committer may write, to have it do something where it is shown.

Each that is markup carries `data-canary`, and sets `window.canary` if it is ever run."""

from __future__ import annotations

_RUN = "window.canary=1"

MARKUP = (
    f"<script data-canary>{_RUN}</script>", f"<ScRiPt data-canary>{_RUN}</sCrIpT>",
    f"<script data-canary src=data:,{_RUN}></script>",
    f"<img data-canary src=x onerror={_RUN}>", f"<svg data-canary onload={_RUN}>", f"<svg/data-canary/onload={_RUN}>",
    f"\"><script data-canary>{_RUN}</script>", f"'><img data-canary src=x onerror={_RUN}>",
    f"</title><svg data-canary onload={_RUN}>",
    f"</textarea><img data-canary src=x onerror={_RUN}>", f"</script><script data-canary>{_RUN}</script>",
    f"--><svg data-canary onload={_RUN}>",
    f"]]><svg data-canary onload={_RUN}>", "<iframe data-canary srcdoc='<script>parent.canary=1</script>'>",
    f"<body data-canary onload={_RUN}>",
    f"<details data-canary open ontoggle={_RUN}>", f"<input data-canary autofocus onfocus={_RUN}>",
    "<base data-canary href=http://evil.example/>",
    "<meta data-canary http-equiv=refresh content='0;url=http://evil.example/'>",
    "<link data-canary rel=stylesheet href=http://evil.example/x.css>",
    "<style data-canary>*{display:none}</style>", "<form data-canary action=http://evil.example><button>",
    "<a data-canary href=javascript:window.canary=1>x</a>",
    f"<math><mtext data-canary><img data-canary src=x onerror={_RUN}></math>",
    f"<template><img data-canary src=x onerror={_RUN}></template>",
    "<b data-canary style=position:fixed;inset:0>", "<div data-canary hx-get=/ hx-trigger=load>",
    f"<x data-canary hx-on:load={_RUN}>",
    f"\" onmouseover={_RUN} data-canary=\"", f"' onfocus={_RUN} autofocus data-canary='",
    f"x` onload={_RUN} data-canary `", f"javascript:{_RUN}",
    f"JaVaScRiPt:{_RUN}//", f"data:text/html,<script data-canary>{_RUN}</script>",
    f"&lt;script data-canary&gt;{_RUN}&lt;/script&gt;",
    f"&#60;img data-canary src=x onerror={_RUN}&#62;", f"\\x3cimg data-canary src=x onerror={_RUN}\\x3e",
    f"\\u003csvg data-canary onload={_RUN}\\u003e",
    f"＜script data-canary＞{_RUN}＜/script＞",
)  # fmt: skip
TEMPLATES = (
    "{{ 6|add:36 }}", "{% debug %}", "{% load log %}", "{{ settings.SECRET_KEY }}", "${6*7}", "#{6*7}",
    "%(name)s %s %", "{0.__class__}",
)  # fmt: skip
TERMINAL = (
    "\x1b[31mred\x1b[0m", "\x1b]8;;http://evil.example/\x07link\x1b]8;;\x07",
    "\x1b]8;;javascript:window.canary=1\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]0;title\x07", "\x1bP1;2|dcs\x1b\\", "\x1b_apc\x1b\\", "\x1b[2J\x1b[H", "\x1b[8mhidden\x1b[0m", "\x9b31mC1",
    "\x07\x08\x0c\x0b\x7f",
    "\x1b[31m<img data-canary src=x onerror=window.canary=1>\x1b[0m", "\x1b]52;c;ZXZpbA==\x07",
)  # fmt: skip
BYTES = (
    "nul\0nul", "lone \ud800 half", "\u202egnp.exe", "\u2066isolate\u2069", "\u2028line\u2029", "\ufeffmark",
    "\ufffe", "\u200bzero", "e\u0301" * 50,
)  # fmt: skip
ALL = MARKUP + TEMPLATES + TERMINAL + BYTES
LINE_FOR_TEN_MEGABYTES = "<img data-canary src=x onerror=window.canary=1>" * 220_000


def rows() -> list[str]:
    """Those that a database takes, without what git's room would have taken out of a line."""
    return [text for text in MARKUP + TEMPLATES if text.isprintable()]
