"""The vault: data between the steps of one living run, under a key that its process alone has.

Knows at which stage a data set is, and nothing of what stands in it.
"""
