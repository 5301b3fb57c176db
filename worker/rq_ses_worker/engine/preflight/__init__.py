"""What a worker checks before its first mail: how the Redis server is set up, and the rights of its user."""
