"""Templates of the simulated account: kept, read from requests, tried out."""
