"""What is done: one step per file, its pure functions first."""
