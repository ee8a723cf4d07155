"""A shop window that shows what the environment says."""

import os

from flask import Flask, render_template

app = Flask(__name__)


def fruits():
    names = os.environ.get("FRUITS", "Apple, Orange, Pear").split(",")
    return [name.strip() for name in names if name.strip()]


@app.get("/")
def shop():
    return render_template("shop.html", name=os.environ.get("SHOP_NAME", "Fruits"), fruits=fruits())
