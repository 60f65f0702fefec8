"""In which order: a flow reads as a sentence of steps.

Hands on references and never a row; what a step does is not known here.
"""
