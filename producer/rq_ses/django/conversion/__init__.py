"""Django's mails as the queue has them: by their fields where Simple content says it all, else as MIME."""

from rq_ses.django.conversion.converted import Converted, convert

__all__ = ["Converted", "convert"]
