"""What tables that left before, and those to come, tell together."""
