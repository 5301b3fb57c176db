"""What the threads of a worker share."""
