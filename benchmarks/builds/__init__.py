"""Two builds of rq-ses in alternation: a revision from git, and the working tree."""
