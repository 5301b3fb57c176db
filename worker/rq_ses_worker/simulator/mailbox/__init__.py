"""The mails the simulator keeps, and how they are shown."""
