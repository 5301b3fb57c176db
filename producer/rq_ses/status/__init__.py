"""What `rq-ses status` shows: queues, workers and accounts as they stand in Redis, read without a trace."""
