"""Mail that exists as MIME: what can be read of it."""
