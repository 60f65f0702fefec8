"""The commands `tutela consent …`, and what each answers.

Reads and writes by the consent ledger alone; decides nothing of who may be read.
"""
