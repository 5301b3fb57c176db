"""Bulk jobs, and a worker of theirs without threads."""
