"""`rq-ses doctor`: look at all that must be right for mails to go out, and say what to do where it isn't."""
