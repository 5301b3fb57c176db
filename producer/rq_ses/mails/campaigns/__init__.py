"""Campaigns that are under way: how they stand; holding them, letting them go on, calling them back."""
