"""Bulk jobs: the script that divides one, and what runs it."""
