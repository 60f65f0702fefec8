"""What `tutela check` says of a policy, alone or beside an earlier one.

Reads no person's data; whether a policy is sound is decided in `expectations`.
"""
