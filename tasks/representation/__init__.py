"""Whether the people selected are like those who are meant, and weights that make them so."""
