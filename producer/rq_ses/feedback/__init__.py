"""What SES says of mails after it has taken them: SNS's messages, checked, read and stored once."""
