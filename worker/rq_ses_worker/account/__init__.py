"""The account's gate: send rate, daily quota and breaker, shared by all workers of an SES account."""
