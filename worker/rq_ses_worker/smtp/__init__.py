"""`rq-ses smtp`: takes mails over SMTP and enqueues them, for programs that speak nothing else."""
