"""Attacks on a model or a table that is to leave, tried on the people of the run before it does.

An attack must know neither training nor anonymization, whose work it judges: it is handed plain
frames, classifiers and files. Only the step of the model (`attack`) reads how that was trained.
"""
