"""A run's lineage as events of OpenLineage, for catalogues that follow data across tools.

Written from the record alone, and names alone: it knows no value, no count of people, no login and
no folder. Nothing is sent but by `event_file`, to where the home's settings say.
"""
