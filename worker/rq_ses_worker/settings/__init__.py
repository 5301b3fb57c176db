"""The settings of workers."""
