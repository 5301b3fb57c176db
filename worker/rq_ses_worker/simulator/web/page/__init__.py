"""The page on which people read what the simulator received, and script what goes wrong."""
