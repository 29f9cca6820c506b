"""The doors: one folder per platform, each of them a codec, a policy, a transport and, where there is one, a login.

A platform knows the ports and nothing else of the house: no store, no runtime, no other platform.
"""
