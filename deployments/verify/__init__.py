"""The command `tutela verify`: whether the record, and what shows it, is what was written."""
