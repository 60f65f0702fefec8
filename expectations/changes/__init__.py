"""What the change of a policy means for the people in the data, in words.

Compares two policies alone, and knows no run of either.
"""
