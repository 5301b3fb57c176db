"""The command `rq-ses send`: from options, and from lines of JSON."""
