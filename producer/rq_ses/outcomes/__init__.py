"""What became of mails, as whoever hooks in is told: webhooks, Python callables, Django's signal.

Outcomes stand in a stream in Redis, written in the step that ends the mail. Each reader has a group there.
"""

from rq_ses.outcomes.outcome import Outcome

__all__ = ["Outcome"]
