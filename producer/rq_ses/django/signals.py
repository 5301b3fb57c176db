"""The signal by which a Django project hears what became of its mails."""

from __future__ import annotations

from typing import Final

from django.dispatch import Signal

outcome: Final = Signal()
"""Sent by `manage.py rq_ses_outcomes`, with `outcome`: a rq_ses.outcomes.Outcome.

It is sent at least once for each outcome, which has an `id` of its own. A receiver that raises hears of it
again.
"""
