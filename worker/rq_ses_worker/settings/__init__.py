"""The settings of workers, a group of them in each file, declared once."""
