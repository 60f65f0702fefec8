"""Record-wise expressions: read, understood, and worked out row by row.

Sees one row at a time, so that none can look across people.
"""
