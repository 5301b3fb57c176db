"""How a worker is watched: its counters, /metrics, /healthz, and `rq-ses health`."""
