"""What SES says of a mail after it has taken it, in the signed messages in which SNS brings it."""
