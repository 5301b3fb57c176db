"""The command `rq-ses`."""

from rq_ses.cli.group import main

__all__ = ["main"]
