"""A Django project in the process of the tests, and mails as its users write them."""
