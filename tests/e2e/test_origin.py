"""A look-alike of the application that this procedure was first written for, with the pins of its v1.0.0: Python 2.7,
Flask 0.11, and fruits in a database that `MONGODB_URI` names. What answers there is told in old_mongodb.py."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pymongo
import pytest
from pymongo.errors import PyMongoError

from tests.e2e.portal import ROOT, RunningPortal, eventually, free_port, gateway, repository

pytestmark = pytest.mark.engine

REQUIREMENTS = b"""\
click==6.6
Flask==0.11.1
itsdangerous==0.24
Jinja2==2.8
MarkupSafe==0.23
mongoengine==0.10.6
pymongo==3.3.0
Werkzeug==0.11.10
"""
APP = b"""\
import os

from flask import Flask, render_template_string
from mongoengine import Document, StringField, connect

app = Flask(__name__)
connect(host=os.environ['MONGODB_URI'])


class Fruit(Document):
    name = StringField(required=True)


@app.route('/')
def fruits():
    print 'This is Python 2.'
    page = '<h1>Fruits</h1><ul>{% for fruit in fruits %}<li>{{ fruit.name }}</li>{% endfor %}</ul>'
    return render_template_string(page, fruits=Fruit.objects.order_by('name'))
"""


@pytest.fixture
def database() -> Iterator[str]:
    """The address of a database with three fruits, as containers of the engine reach it."""
    host, port = gateway("bridge"), free_port()
    address = f"mongodb://{host}:{port}/shop"
    server = subprocess.Popen([sys.executable, "-m", "tests.e2e.old_mongodb", host, str(port)], cwd=ROOT)
    client: pymongo.MongoClient[dict[str, str]] = pymongo.MongoClient(address, serverSelectionTimeoutMS=500)

    def filled() -> bool:
        assert server.poll() is None, "the database ended"
        try:
            client.shop.fruit.insert_many([{"name": name} for name in ("Pear", "Apple", "Orange")])
        except PyMongoError:
            return False
        return True

    try:
        eventually(filled, seconds=30, what="the database takes fruits")
        yield address
    finally:
        client.close()
        server.terminate()
        server.wait()


def test_origin_is_released_on_python_2_and_lists_its_fruits(portal: RunningPortal, database: str) -> None:
    files = {"app/app.py": APP, "requirements.txt": REQUIREMENTS}
    url = repository(portal.repositories, "autobuilder", files)
    options = ("--stack", "python2.7-uwsgi", "--env", f"MONGODB_URI={database}", "--probe", "required")
    assert portal.register("autobuilder", url, *options).returncode == 0

    status, answer = portal.release("autobuilder", "v1.0.0")

    assert status == 0, answer
    build = portal.build("autobuilder", answer["number"])
    assert build["probe_body"] == "<h1>Fruits</h1><ul><li>Apple</li><li>Orange</li><li>Pear</li></ul>"
    assert "This is Python 2." in portal.log(build)
    packages = portal.page().get(f"/applications/autobuilder/builds/{answer['number']}/packages.txt").text
    pins = {name.lower(): version for name, version in re.findall(r"(?m)^([\w-]+)==(\S+)", REQUIREMENTS.decode())}
    assert dict(re.findall(r"(?m)^([\w-]+)==([^\s\\]+)", packages)) == pins
    assert answer["image"]["size"] < 45_000_000 < answer["image"]["builder_size"]  # the origin's was 60.75 MB
