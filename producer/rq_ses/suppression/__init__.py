"""The suppression list: addresses that no mail is sent to, checked when a mail is claimed.

Documented: `Suppression`, `Suppressed`, `normal_form`.
"""

from rq_ses.suppression.address import normal_form
from rq_ses.suppression.entry import REASONS, Reason, Suppressed

__all__ = ["REASONS", "Reason", "Suppressed", "normal_form"]
