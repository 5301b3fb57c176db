"""The running worker: it claims mails, sends them and settles them, with threads."""
