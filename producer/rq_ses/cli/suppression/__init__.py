"""`rq-ses suppression`: the addresses that no mail is sent to."""
