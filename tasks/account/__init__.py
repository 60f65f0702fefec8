"""What a run found, as it may be told: read from its evidence into published forms.

Sees counts by the disclosure rule and never a person's row; knows no page that shows it.
"""
