"""What is no HTTP, or badly made, sent to the real web server byte by byte: never a fault of ours, and it goes on."""

from __future__ import annotations

import re
import socket

import pytest
import requests

from tests.e2e.portal import RunningPortal

pytestmark = pytest.mark.engine
HOST = b"Host: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHARSET = b"Content-Type: a/b; charset=utf-8\r\n\r\n"
RAW = {
    "nothing": b"\r\n\r\n",
    "no request line": b"\0\xff\x16\x03\x01\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500,
    "no version": b"GET /\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "another host": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "an address of elsewhere": b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tunnel": b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a length that is none": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: abc\r\n\r\n",
    "a length below nothing": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "a length beyond all": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
    "a length and pieces": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n" + CHUNKED + b"0\r\n\r\n",
    "pieces that are none": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n" + HOST + b": x\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\0c\r\n\r\n",
    "NUL in an address": b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    "bytes in an address": b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long address": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long header": b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * 90_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 500 + b"\r\n",
    "too many parameters": b"GET /livez?" + b"a=1&" * 1001 + b" HTTP/1.1\r\n" + HOST + CHARSET,
    "half a request": b"POST /accounts/login/ HTTP/1.1\r\n" + HOST + b"Content-Length: 50\r\n\r\nuser",
}  # fmt: skip


@pytest.mark.parametrize("what", RAW)
def test_server_answers_what_is_badly_made(portal: RunningPortal, what: str) -> None:
    with socket.create_connection(("127.0.0.1", portal.port), timeout=30) as connection:
        connection.sendall(RAW[what])
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    statuses = [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d+)", answer, re.MULTILINE)]
    assert all(status < 500 for status in statuses), answer[:300]
    assert b"Traceback" not in answer
    assert requests.get(f"{portal.address}/livez", timeout=30).status_code == 200
