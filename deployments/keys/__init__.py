"""The commands `tutela keys …`, and what each answers.

No key is ever shown.
"""
