"""All runs at a glance: `commands` lists and filters them, `screen` says what came of each.

How one run is shown is not known here, nor how rows are made of the record.
"""
