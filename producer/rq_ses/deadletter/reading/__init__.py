"""Reads failed mails from Redis: their reports and payloads, filters, and the lines of an export."""
