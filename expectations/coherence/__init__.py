"""Whether the parts of a policy fit together: plain functions, each named as its rule.

Looks at the policy alone, never at data.
"""
