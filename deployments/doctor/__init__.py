"""`tutela doctor`: what of a home, its machine and its servers is not as it should be.

Knows no policy and no run. It looks and changes nothing, except that an older ledger is brought up
to date, as by every command.
"""
