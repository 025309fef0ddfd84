"""delay, chain and group, their results and errors over the rpc:// backend, and a worker that answers and stops."""

from celery import chain, group
from tasks import add, app, double, fail
from worker import delete_queues, worker

with worker(app, "tasks.plain", processes=2) as node:
    assert add.delay(2, 3).get(60) == 5

    # Each task's result is the next one's first argument.
    result = chain(add.s(1, 2), double.s(), add.s(10), double.s())()
    assert result.get(60) == 32

    result = group(add.s(n, n) for n in range(20))()
    assert result.get(60) == [2 * n for n in range(20)]

    result = group(chain(add.s(n, 1), double.s()) for n in range(5))()
    assert result.get(60) == [2, 4, 6, 8, 10]

    try:
        fail.delay("as asked").get(60)
        raise AssertionError("a task's error did not come back")
    except ValueError as error:
        assert str(error) == "as asked"

    inspect = app.control.inspect([node], timeout=10, limit=1)
    assert "tasks.add" in inspect.registered()[node]
    assert [queue["name"] for queue in inspect.active_queues()[node]] == ["tasks.plain"]

assert delete_queues(app) == 0
