"""What a measurement runs on: the servers, the stand-in for SES, mails, processes and their costs."""
