"""The commands `tutela budget …`, and what each answers.

Only reads: charges are made by runs.
"""
