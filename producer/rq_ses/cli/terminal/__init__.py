"""What every command shares: what it reads and prints, its exit codes and its help."""
