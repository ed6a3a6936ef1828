"""``seedkeep key``: the key that signs what a person shares or taints."""

from __future__ import annotations

import os

import click

from seedkeep import keystore
from seedkeep.cli.output import Output
from seedkeep.cli.running import json_option
from seedkeep.config import Places


@click.group()
def key() -> None:
    """Your key: it signs what you share."""


@key.command()
@json_option
def new(as_json: bool, quiet: bool) -> None:
    """Make a key; an existing one is never replaced."""
    place = Places.of(os.environ).key
    made = keystore.create(place)
    text = f"{made.public}\nThe key is in {place}. Keep a copy of it: it is what makes your records yours."
    Output(as_json=as_json, quiet=quiet).result({"key": str(made.public), "path": str(place)}, text)


@key.command()
@json_option
def show(as_json: bool, quiet: bool) -> None:
    """Print the public half of your key."""
    place = Places.of(os.environ).key
    public = keystore.load(place).public
    Output(as_json=as_json, quiet=quiet).result({"key": str(public), "path": str(place)}, str(public))
