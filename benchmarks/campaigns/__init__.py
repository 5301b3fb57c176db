"""What a campaign costs, beside the same mails one by one."""
