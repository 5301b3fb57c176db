"""What every command shares: its output, its exit codes and its help."""
