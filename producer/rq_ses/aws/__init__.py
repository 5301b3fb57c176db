"""AWS as both packages know it: its partitions, its regions, and how its hosts are named."""
