"""The table of references compares every from-scratch piece with an oracle written by someone else.

`jaxnn verify` runs it on the user's own device and dtype; the tests run their properties over the same rows.
"""

from jaxnn.verification.verifying import DTYPES as DTYPES
from jaxnn.verification.verifying import Verdict as Verdict
from jaxnn.verification.verifying import verify as verify
