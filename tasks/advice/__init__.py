"""What a policy could do without: advice that is tried out, and the patch it comes to.

Changes no policy, and must not know what checks or attacks a model: it asks what a model needs.
"""
