"""`rq-ses sendmail`: takes mail as /usr/sbin/sendmail does, for cron, PHP and whatever knows nothing else."""
