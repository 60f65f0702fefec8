"""Models: what they read, how they are trained, what they spend."""
