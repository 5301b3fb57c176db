"""Campaigns on their way into the queue: jobs of many entries, each entry once."""
