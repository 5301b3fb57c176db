"""Campaigns: one template for many recipients, each with data of its own."""
