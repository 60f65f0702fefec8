"""Ways out of a refusal, tried on the run's own people and told with what they cost."""
