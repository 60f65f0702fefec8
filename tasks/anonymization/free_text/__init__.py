"""Free text, reduced: what points at a person is found and replaced; what is not found stays."""
