"""Who is told what became of mails: a webhook, and the Python callables of other packages."""
