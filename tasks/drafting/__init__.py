"""What `tutela draft` sees of a table: a profile of each column, and signs of what it holds."""
