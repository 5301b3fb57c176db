"""What a worker logs, and in which form."""
