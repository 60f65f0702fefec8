"""The command `tutela audit`: what an auditor asks of a home, answered from the record alone.

`commands` is what is typed, `screen` what is answered there, `changes` what differs between two
runs. How the record is read is not known here.
"""
