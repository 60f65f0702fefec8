"""FHIR Consent resources, R4 and R5, as consent events: read, understood, and told in our words.

An export has no history unless it is given one. Where a resource leaves something open the reading
that permits less is taken, and what cannot be meant is refused, all of it at once.
"""
