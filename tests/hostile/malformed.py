"""Requests as no browser sends them. Each is made of a seed and its number alone, so that one can be made again."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

from tests.hostile.doors import Door

TOKEN = "c" * 32
"""What a form sends to show that it is the portal's own: the same as in the cookie."""
NUMBERS = (
    b"0", b"-1", b"00", b"2147483647", b"2147483648", b"9223372036854775807", b"9223372036854775808",
    b"18446744073709551616", b"9" * 400, b"9" * 5000, b"1e309", b"NaN", b"Infinity", b"1.5", b"0x1", b"1_0",
    "٣".encode(), "１".encode(), "²".encode(), b" 1", b"+1",
)  # fmt: skip
TEXTS = (
    b"", b" ", b"\0", b"a\0b", b"%00", b"\xed\xa0\x80", b"\xff\xfe", b"\xc3", b"\xf4\x90\x80\x80", b"\n",
    b"a\r\nSet-Cookie: x=1",
    b"..", b"../../etc/passwd", b"..%2f..%2fetc%2fpasswd", b"/", b"//evil.example", b"\\", b"%", b"%s%(x)s%%",
    b"{0}{x!r}",
    b"{{ 7|add:'7' }}", b"{% debug %}", b"<script>alert(1)</script>", b"'\"><svg onload=alert(1)>",
    b"javascript:alert(1)",
    b"'; DROP TABLE releases_build; --", b"1 OR 1=1", b"*" * 60, b"(" * 200, b"[", b"(a+)+$", b"\\1", b"^", b"|",
    b"__class__",
    "\u202egpj.exe".encode(), "\u2028\u2029".encode(), "\U0001f4a9".encode(), "e\u0301".encode() * 40, "İıẞ".encode(),
    b"\x1b[31m\x1b]8;;http://evil.example\x07x", b"a" * 300, b"a" * 70_000, b"-1", b"--help", b"null", b"true", b"[]",
    b"{}",
    b'{"a": "\\ud800"}', b'{"a": "\\u0000"}', b"[" * 3000, b"2026-13-45", b"0000-00-00", b"0001-01-01", b"9999-12-31",
    b"10000-01-01", b"2026-02-30", b"24:61", b"(portal)", b"flask==", b"==", b"flask==1.0==2", b"@" * 50, b"v1.0.0",
    b"fruit-shop", b"python3.13-uwsgi", b"succeeded", b"es", b"en", b"zz", b"on",
)  # fmt: skip
METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "get",
    "G\0T",
    "A" * 300,
)
USUAL_METHODS = ("GET",) * 10 + ("POST",) * 7 + ("HEAD",)
TYPES = (
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-16",
    "application/x-www-form-urlencoded; charset=no-such-charset", "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=x", "multipart/form-data; boundary=" + "y" * 300,
    "multipart/form-data; boundary=\xff",
    "multipart/mixed; boundary=x", "application/json", "application/json; charset=utf-7", "text/plain", "", "\0", ";",
    "a/b; =",
    "text/html; charset=\"", "application/x-www-form-urlencoded; " + "p=1; " * 200,
)  # fmt: skip
HEADERS: dict[str, tuple[str, ...]] = {
    "HTTP_RANGE": (
        "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-2", "bytes=0-1,3-4", "bytes=999999999999999999999-", "bytes=a-b",
        "bytes=-" + "9" * 30, "items=0-1", "bytes=", "bytes=0-", "bytes=0-" + "9" * 18, "\xff",
        "bytes=\u0661-".encode().decode("latin-1"),
    ),
    "HTTP_IF_RANGE": ('"x"', "*", "Thu, 01 Jan 1970 00:00:00 GMT", "\0"),
    "HTTP_IF_NONE_MATCH": ("*", '"x"', 'W/"x"', '"' + "a" * 9000 + '"', '","' * 500, "x", "\xff", '"\0"'),
    "HTTP_IF_MATCH": ("*", '"x"', "", "x" * 5000),
    "HTTP_IF_MODIFIED_SINCE": (
        "yesterday", "Thu, 01 Jan 0000 00:00:00 GMT", "Thu, 99 Foo 9999 99:99:99 GMT", "0",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
    ),
    "HTTP_IF_UNMODIFIED_SINCE": ("never", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 30 Feb 2026 00:00:00 GMT"),
    "HTTP_ACCEPT_LANGUAGE": (
        "es", "zz", "*", "es;q=9", "es;q=-1", "es-" + "a" * 600, ",".join(["en;q=0.1"] * 900), "\0", "../../en", "%s",
        "\xff", "es;q=", "en-Latn-x-y",
    ),
    "HTTP_ACCEPT_ENCODING": ("gzip", "gzip;q=0", "*", "br, \0", "gzip" * 1000),
    "HTTP_ACCEPT": ("*/*", "application/json", "text/html;q=x", "\0", "a" * 9000),
    "HTTP_HOST": (
        "evil.example", "testserver:99999", "testserver@evil", "", "\0", "[::1", "a" * 300, "testserver, evil",
        "\xff",
    ),
    "HTTP_X_FORWARDED_FOR": ("1.2.3.4", "not an address", "\0", "1" * 5000, ",", "::1, \xff"),
    "HTTP_X_FORWARDED_PROTO": ("https", "\0", "ftp"),
    "HTTP_X_FORWARDED_HOST": ("evil.example", "\0"),
    "HTTP_X_REQUEST_ID": ("a\r\nb", "\0", "x" * 5000, "../../x", "short"),
    "HTTP_X_HTTP_METHOD_OVERRIDE": ("DELETE", "\0"),
    "HTTP_HX_REQUEST": ("true", "\0", "false"),
    "HTTP_HX_BOOSTED": ("true",),
    "HTTP_HX_CURRENT_URL": ("http://testserver/", "javascript:alert(1)", "http://[", "\0", "a" * 9000, "\xff"),
    "HTTP_HX_CURRENT_URL_URI_AUTOENCODED": ("true",),
    "HTTP_HX_TRIGGERING_EVENT": ("{", "[]", "\0", "9" * 5000, "\xff"),
    "HTTP_HX_TARGET": ("log", "\0", "\xff"),
    "HTTP_REFERER": ("http://evil.example/", "http://[", "\0", "javascript:alert(1)", "http://testserver/\r\nx"),
    "HTTP_ORIGIN": ("null", "http://evil.example", "http://[", "\0", "http://testserver"),
    "HTTP_AUTHORIZATION": ("Bearer x", "Basic \xff", "Bearer ", "Bearer " + "a" * 9000, "\0"),
    "HTTP_COOKIE": (
        "", ";", "=", "\0=\0", "a" * 9000, "portal_language=zz", "portal_language=../../etc", "messages=garbage",
        "messages=" + "W1tdXQ:" * 40, "x=\"\\000\"", "x=\xff", "; ".join(f"c{n}=1" for n in range(900)),
    ),
    "HTTP_TRANSFER_ENCODING": ("chunked", "gzip", "\0"),
    "HTTP_CONTENT_ENCODING": ("gzip", "deflate"),
    "HTTP_EXPECT": ("100-continue", "\0"),
    "HTTP_UPGRADE": ("websocket", "h2c"),
    "HTTP_CONNECTION": ("upgrade", "close, \0"),
    "HTTP_USER_AGENT": ("", "\xff" * 900, "<script>alert(1)</script>", "\0"),
    "REMOTE_ADDR": ("", "not an address", "::1", "1.2.3.4"),
    "CONTENT_LENGTH": ("", "0", "1", "9" * 30, "999999999"),  # what is no number is refused by the server
    "SCRIPT_NAME": ("/x", "\0"),
    "SERVER_PROTOCOL": ("HTTP/0.9", "HTTP/9.9", "\0"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class World:
    """What the generator may know of the portal that it asks."""

    doors: Sequence[Door]
    good: Mapping[str, Sequence[bytes]]
    """Values of the variable parts that lead to a row."""
    names: Sequence[str]
    """Fields that are asked for somewhere."""
    forms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """A door's route → the fields of the forms that it shows, filled in."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Who may ask → the cookies of a browser in which they are signed in."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """One request: who asks, and what a server would hand to the application."""

    role: str
    route: str
    environ: dict[str, Any]
    body: bytes

    def told(self) -> str:
        """Enough to see what was asked, in one line a part."""
        given = {name: value for name, value in self.environ.items() if name.isupper() and name != "HTTP_COOKIE"}
        words = "\n".join(f"  {name} = {value[:300]!r}" for name, value in sorted(given.items()) if value)
        return f"{self.route!r} as {self.role}:\n{words}\n  body = {self.body[:600]!r}"


def request(seed: int, number: int, world: World) -> Malformed:
    """The request of this number; doors are taken in turn, so that none is left out by chance. Django's admin, which
    has most of them, gets every third request."""
    chance = Random(f"{seed}/{number}")  # noqa: S311 - it must be the same each time
    doors = [door for door in world.doors if door.route.startswith("admin/") == (number % 3 == 0)]
    door = doors[number // 3 % len(doors)] if number % 3 == 0 else doors[number % len(doors)]
    role = chance.choices(list(world.roles), [4, 1, 4, 1])[0]
    method = chance.choice(USUAL_METHODS if chance.random() < 0.85 else METHODS)
    body, kind = (b"", "") if method in ("GET", "HEAD") and chance.random() < 0.9 else _body(chance, world, door)
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": _path(chance, world, door).decode("latin-1"),
        "QUERY_STRING": _query(chance, world, door).decode("latin-1"),
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "testserver",
        "HTTP_COOKIE": world.roles[role],
        **({"HTTP_X_CSRFTOKEN": TOKEN} if chance.random() < 0.9 else {}),
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(body)),
        **_headers(chance),
    }
    if (given := environ["HTTP_COOKIE"]) != world.roles[role] and chance.random() < 0.7:
        environ["HTTP_COOKIE"] = f"{world.roles[role]}; {given}"
    surroundings = {
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
    }  # fmt: skip
    return Malformed(role, door.route, {**environ, **surroundings}, body)


def hostile(chance: Random) -> bytes:
    """One value that no form would send."""
    return chance.choice(NUMBERS if chance.random() < 0.3 else TEXTS)


def _path(chance: Random, world: World, door: Door) -> bytes:
    values = {name: chance.choice(world.good.get(name, (b"1",))) for name in door.parts}
    if door.parts and chance.random() < 0.4:
        values[chance.choice(door.parts)] = hostile(chance)
    path = door.address(values)
    if chance.random() < 0.08:
        place = chance.randrange(len(path) + 1)
        path = path[:place] + hostile(chance) + path[place:]
    return path


def _query(chance: Random, world: World, door: Door) -> bytes:
    what = chance.random()
    if what < 0.35:
        return b""
    if what < 0.42:
        return hostile(chance) + chance.choice((b"&", b"=", b"&=&", b";", b"?")) + hostile(chance)
    names = list(world.forms.get(door.route, ())) * 3 + list(world.names)
    given = [(chance.choice(names).encode(), hostile(chance)) for _ in range(chance.randint(1, 4))]
    if chance.random() < 0.03:
        given *= 600
    return b"&".join(_quoted(chance, name) + b"=" + _quoted(chance, value) for name, value in given)


def _quoted(chance: Random, value: bytes) -> bytes:
    """Mostly as a browser does it; sometimes as it is."""
    return quote_from_bytes(value, safe="").encode() if chance.random() < 0.93 else value.replace(b"\n", b"")


def _body(chance: Random, world: World, door: Door) -> tuple[bytes, str]:
    form: dict[str, bytes] = {name: value.encode() for name, value in world.forms.get(door.route, {}).items()}
    names = list(form) * 4 + list(world.names)
    for _ in range(chance.randint(0, 3)):
        form[chance.choice(names)] = hostile(chance)
    what = chance.random()
    if what < 0.6:
        return urlencode(form).encode(), TYPES[0]
    if what < 0.8:
        return _multipart(chance, form), "multipart/form-data; boundary=x"
    if what < 0.9:
        return urlencode(form).encode(), chance.choice(TYPES)
    return hostile(chance) * chance.choice((1, 1, 3, 40)), chance.choice(TYPES)


def _multipart(chance: Random, form: Mapping[str, bytes]) -> bytes:
    parts = []
    for name, value in form.items():
        about = f'Content-Disposition: form-data; name="{name}"'
        if chance.random() < 0.1:
            about += f'; filename="{hostile(chance).decode("latin-1")}"'
        if chance.random() < 0.05:
            about += "\r\nContent-Transfer-Encoding: " + chance.choice(("base64", "nonsense", "quoted-printable"))
        parts.append(b"--x\r\n" + about.encode("latin-1", "replace") + b"\r\n\r\n" + value + b"\r\n")
    body = b"".join(parts) + b"--x--\r\n"
    return body[: chance.randrange(len(body) + 1)] if chance.random() < 0.2 else body


def _headers(chance: Random) -> dict[str, str]:
    names = chance.sample(sorted(HEADERS), chance.choice((0, 0, 0, 1, 1, 2, 4)))
    return {name: chance.choice(HEADERS[name]) for name in names}
