"""In which order: a flow reads as a sentence of steps."""
