"""What the doctor looks at of a sender: its identity, its DNS records, and who hears of its mails."""
