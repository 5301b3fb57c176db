"""What SES answers when it is asked about something: paths, and the reading of answers."""
