"""AWS credentials: where the worker's keys come from, in AWS's own order, and how they are renewed."""
