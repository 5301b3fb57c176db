"""`python -m rq_ses` is `rq-ses`."""

from rq_ses.cli import main

main(prog_name="rq-ses")
