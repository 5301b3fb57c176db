"""The commands for failed mails: failed, resend, discard and import."""
