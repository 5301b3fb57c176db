"""What is looked at before the first mail: the server, the rights of its user, open files."""
