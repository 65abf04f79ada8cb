"""The table of twins: every from-scratch piece beside an oracle written by someone else.

`jaxnn verify` runs it on the user's own device and dtype; the tests run their properties over the same rows.
"""
