"""What the dispatcher asks before and after it claims, and what it does for workers that are lost."""
