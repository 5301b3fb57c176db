"""What the simulator keeps: every request as received, the mails it accepted, and what they say."""
