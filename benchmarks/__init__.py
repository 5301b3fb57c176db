"""What rq-ses costs and carries, measured beside its peers in the same run (`make bench`)."""
