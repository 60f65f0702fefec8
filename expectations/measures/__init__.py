"""Privacy measures, computed from a table or a column alone.

Shares no code with the steps whose work is measured by them.
"""
