"""A site whose mails go through the queue: those of its own page, and all that Django sends by itself."""
