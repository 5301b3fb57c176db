"""Attempts of bulk jobs: up to 50 entries of a campaign in one request, each with a fate of its own."""
