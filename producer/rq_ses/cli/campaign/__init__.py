"""`rq-ses campaign`: send a template to many, follow it, hold it, call it back."""
