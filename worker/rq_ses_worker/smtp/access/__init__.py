"""Who may send mails here: networks and users, their passwords, what they may do, and how fast."""
