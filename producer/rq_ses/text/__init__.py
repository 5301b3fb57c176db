"""Text: how values are shown to people, and how what people wrote is read."""
