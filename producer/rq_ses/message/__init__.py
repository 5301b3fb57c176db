"""A message: its fields, how they are checked, and the request body that SES takes for it."""
