"""The worker's half of rq-ses: what signs, sends, classifies and settles."""
