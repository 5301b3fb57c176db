"""Failed mails as they are read from Redis, with suspicion."""
