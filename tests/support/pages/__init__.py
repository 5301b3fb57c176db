"""The pages of the docs as tests read and run them."""
