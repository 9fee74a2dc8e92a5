"""Decisions: pure state machines that are told the time and return what is to be done."""
