"""The QQ side: the bot open platform (API v2) as its servers speak it. See README.md one folder up.

Read `side.py` first: it is all that the world and the tests touch, with `residents.py`, `deeds.py` and `troubles.py`.
What the platform knows lies in `state.py`, who is there in `people.py`; `session.py` is the server's end of the
WebSocket, `sending.py` the judge of sends.
"""
