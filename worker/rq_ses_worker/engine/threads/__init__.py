"""What the threads of a worker share: the mails under way, outages of Redis, and what ends the worker."""
