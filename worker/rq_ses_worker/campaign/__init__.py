"""Campaigns in a worker: what their entries share, read once a process, and mails rendered from it."""
