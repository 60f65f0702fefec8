"""Whether the people selected are like those who are meant, and weights that make them so.

Must not know what is made of these people: no model, table or attack.
"""
