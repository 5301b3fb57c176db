"""Amazon SES v2: requests signed by ourselves, and what an answer means."""
