"""What `tutela check` says of a policy, alone or beside an earlier one, without a person's data."""
