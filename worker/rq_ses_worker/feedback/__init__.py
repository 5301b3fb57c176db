"""`rq-ses feedback`: SNS's messages over HTTP, or out of a queue of SQS."""
