"""The keys of the tests' own process."""

from rq_ses.keys import Keys

KEYS = Keys.default()
