"""A shop window that shows what the environment says."""

import os
import re

from flask import Flask, Response, render_template

VERSION = "1.1.0"
GREEN = "#2f7d4f"

app = Flask(__name__)


def fruits():
    names = os.environ.get("FRUITS", "Apple, Orange, Pear").split(",")
    return [name.strip() for name in names if name.strip()]


def colour():
    """Only what is a colour reaches the style sheet."""
    chosen = os.environ.get("SHOP_COLOUR", GREEN)
    return chosen if re.fullmatch(r"#[0-9A-Fa-f]{6}", chosen) else GREEN


@app.get("/")
def shop():
    return render_template(
        "shop.html",
        name=os.environ.get("SHOP_NAME", "Fruits"),
        note=os.environ.get("SHOP_NOTE", "Fresh every morning."),
        fruits=fruits(),
        version=VERSION,
    )


@app.get("/colour.css")
def awning():
    return Response(f":root {{ --awning: {colour()}; }}\n", mimetype="text/css")


@app.get("/healthz")
def healthz():
    return Response("ok\n", mimetype="text/plain")
