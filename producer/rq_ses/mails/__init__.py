"""One mail by its job id or its key, whatever its state: look at it, or call it back while it waits.

    from rq_ses.mails import Mails

    mails = Mails("redis://127.0.0.1:6379/0")
    print(mails.show(key="order-4711-shipped").status)
    print(mails.cancel(key="order-4711-shipped").canceled)

Looking changes nothing. The commands `rq-ses show` and `rq-ses cancel` are made of this.
"""

from rq_ses.mails.mail import Mail
from rq_ses.mails.mails import Cancellation, Mails
from rq_ses.mails.stored import MailNotFound

__all__ = ["Cancellation", "Mail", "MailNotFound", "Mails"]
