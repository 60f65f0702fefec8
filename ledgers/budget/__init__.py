"""The budget ledger: what each person's privacy was charged for, for ever.

Adds up what is declared; which mechanisms a trainer draws is said by the trainer.
"""
