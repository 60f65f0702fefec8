"""What must be true: the policy grammar, its words, its rules and measures."""
