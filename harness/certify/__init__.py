"""Certificates: how often a policy is wrong, how often it finds what is there, and how long that takes."""
