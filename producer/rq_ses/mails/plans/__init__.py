"""What is done about one mail, as plans: an Outbox of either face carries them out, and so does Mails."""
