"""What a worker checks before its first mail: the server, the rights of its Redis user, open files."""
