"""What mails tests send, the states they bring them into, and the books kept of them."""
