"""A mail's trace: what travels with it, and the spans about what is sent."""
