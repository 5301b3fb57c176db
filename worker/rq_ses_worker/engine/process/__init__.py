"""The command `rq-ses worker`, and the processes it starts."""
