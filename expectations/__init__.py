"""What must be true: the policy's grammar, its words and claims, errors and measures.

Imports no other floor: it judges what it is given, and keeps nothing.
"""
