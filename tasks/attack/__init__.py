"""Attacks that a model must withstand before it leaves."""
