"""The commands `tutela consent …`, and what each answers.

Writes to the consent ledger alone; who may be read is decided in `tasks.consent`.
"""
