"""The table of twins: every from-scratch piece beside an oracle written by someone else.

`jaxnn verify` runs it on the user's own device and dtype; the tests run their properties over the same rows.
"""

from jaxnn.verification.verifying import DTYPES as DTYPES
from jaxnn.verification.verifying import Verdict as Verdict
from jaxnn.verification.verifying import verify as verify
