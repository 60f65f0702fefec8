"""Keys of people who sign: what a signature is, what it is of, and whose key counts.

It must not know policies, or what is approved: a request is plain values to it.
"""
