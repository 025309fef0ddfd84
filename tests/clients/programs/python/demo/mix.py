"""mix.py PROMPT FAST SLOW STATUS SPAM: the email cruncher, each service of the make that is named (rust, kombu, celery)."""

import os
import sys

from demo import demo
from makes import SERVICES

with demo(os.environ["AMQP_URL"], **dict(zip(SERVICES, sys.argv[1:], strict=True))) as run:
    run.start()
    run.prompt()
    run.finish()
