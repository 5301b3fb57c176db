"""Enqueueing: messages with their terms, written to Redis in one step."""
