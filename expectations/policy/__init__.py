"""The grammar of a policy: its parts, its words, and the plain YAML in which it is written.

Declares what may be done and asked; carries out nothing, and reads nobody.
"""
