"""`rq-ses suppression sync`: take over what stands on SES's own suppression list."""
