"""The grammar of a policy: its parts, its words, and how it is read from its file.

Declares what may be done and asked; carries out nothing, and reads nobody.
"""
