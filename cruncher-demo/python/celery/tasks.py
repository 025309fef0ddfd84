"""The tasks of prompt, fast cruncher, status and spammer. Any worker of this application can do any of them.

Where a task meets the services in Rust or with Kombu, it publishes a plain message in their format.
"""

from settings import NOT_PUBLISHED, application  # isort: skip

import find
import letters
import messages
import post
from service import note, tell

# Results go back over AMQP to whoever called. Most tasks have none: what they do is to publish, print or write.
app = application("cruncher", backend="rpc://")


@app.task
def announce(name, label=None):
    """Prompt: publishes a file name to all crunchers, of whatever make."""
    with app.producer_or_acquire() as producer:
        messages.publish_name(producer, name, label, retry=True)
    return name


@app.task(ignore_result=True)
def find_fast(name):
    """Fast cruncher: the addresses in a file, which the next task of the chain gets."""
    try:
        found = find.fast(letters.read(name))
    except (OSError, ValueError) as why:
        note(f"fast: {name}: {why}")
        return []
    tell(f"fast: {name}: {len(found)} found")
    return found


@app.task(ignore_result=True)
def report(addresses, name, label=None):
    """Fast cruncher: publishes what was found to the status service, of whatever make."""
    with app.producer_or_acquire() as producer:
        messages.publish_result(producer, "fast", name, addresses, label, retry=True)


@app.task(ignore_result=True, autoretry_for=NOT_PUBLISHED, max_retries=None, retry_backoff=True, retry_backoff_max=30)
def ask_for_warning(local_part, domain, label=None):
    """Status: asks the spammer of a new address for a warning, of whatever make it is."""
    with app.producer_or_acquire() as producer:
        taken = messages.publish_warning(producer, local_part, label)
    tell(f"status: new: {local_part}@{domain}" + ("" if taken else " (no spammer listens for it)"))


@app.task(ignore_result=True, bind=True, max_retries=2, throws=OSError)
def warn(self, local_part, domain, folder):
    """Spammer: writes a mail, and tries again if that fails."""
    address = f"{local_part}@{domain}"
    try:
        tell(f"spam: {address} warned: {post.warn(local_part, domain, folder)}")
    except ValueError as why:
        note(f"spam: {address} given up: {why}")
    except OSError as why:
        note(f"spam: {address}: attempt {self.request.retries + 1} of {self.max_retries + 1} failed: {why}")
        raise self.retry(exc=why, countdown=2**self.request.retries) from why
