"""The command `rq-ses`, and those of its commands that need Redis alone."""

from rq_ses.cli.group import main

__all__ = ["main"]
