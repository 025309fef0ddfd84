"""What is measured: a row for each case, with what it is called, how it is run and what it has to reach."""

from dataclasses import dataclass

ACKED = "--confirm 1000 --prefetch 200 --ack 50"


@dataclass(frozen=True)
class Goal:
    """What a figure of Leveret's has to reach: `bound`, or `bound` times the same figure of others or of a case of its own."""
    figure: str
    bound: float
    against: str = ""  # a kind of system, or a case
    at_most: bool = False


def least(bound, against="", figure="rate"):
    return Goal(figure, bound, against)


def most(bound, against="", figure="rate"):
    return Goal(figure, bound, against, at_most=True)


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    options: str = ""  # of amqpload
    goals: tuple = ()
    without: tuple = ()  # kinds of systems that cannot do it
    measure: str = "load"  # which function of measures.py
    part: str = "speed"
    repetitions: int | None = None  # what --reps says, unless this is more
    restart: bool = False  # a RabbitMQ starts anew for it
    count: int = 0  # how many of what it is about; 0 for what --messages says


EXTRAS = ("relay", "sketch")  # what only complete brokers do

# Those that are compared with each other stand side by side: a machine's mood changes from minute to minute.
SPEED = (
    Case("tx16", "16 B, transient, auto-ack", "--size 16", (least(0.8, "sketch"),)),
    Case("tx1k", "1 KiB", "--size 1024", (least(0.85, "sketch"),)),
    Case("tx16k", "16 KiB", "--size 16384", (least(1.0, "sketch"),)),
    Case("tx128w1", "128 B, each message its own write", "--size 128 --write-bytes 1", (least(0.85, "sketch"),)),
    Case("ack16", "16 B, confirms (window 1000), prefetch 200, multiple acks", f"--size 16 {ACKED}", (least(0.75, "sketch"),)),
    Case("ack1k", "1 KiB, the same", f"--size 1024 {ACKED}", (least(0.85, "sketch"),)),
    Case("ack16k", "16 KiB, the same", f"--size 16384 {ACKED}", (least(1.0, "sketch"),)),
    Case("ack1k1", "1 KiB, confirms, every message acked singly", "--size 1024 --confirm 1000 --prefetch 200 --ack 1",
         (least(0.85, "sketch"),)),
    Case("fan10", "128 B, fan-out to 10 queues (deliveries)", "--size 128 --exchange-type fanout --queues 10 --consumers 10",
         (least(0.8, "sketch"),)),
    Case("p4q4c4", "128 B, 4 producers, 4 queues, 4 consumers", "--size 128 --producers 4 --queues 4 --consumers 4",
         (least(0.8, "sketch"),)),
    Case("p50q50c50", "128 B, 50 producers, 50 queues, 50 consumers", "--size 128 --producers 50 --queues 50 --consumers 50",
         (least(0.8, "sketch"),)),
    Case("p50q1c50", "128 B, 50 producers, 1 queue, 50 consumers", "--size 128 --producers 50 --queues 1 --consumers 50",
         (least(0.8, "sketch"),), ("relay",)),
    Case("pubonly", "128 B, publish only, no consumer", "--size 128 --consumers 0", (least(0.8, "sketch"),), ("relay",)),
    Case("tx128", "128 B, default exchange", "--size 128"),
    Case("direct", "128 B, direct exchange", "--size 128 --exchange-type direct --bindings 1", (least(0.95, "tx128"),), EXTRAS),
    Case("topic1", "128 B, topic, 1 binding", "--size 128 --exchange-type topic --bindings 1", (least(0.9, "direct"),), EXTRAS),
    Case("topic1000", "128 B, topic, 1,000 bindings", "--size 128 --exchange-type topic --bindings 1000",
         (least(0.85, "direct"),), EXTRAS),
    Case("prio10", "128 B, priority queue, x-max-priority 10", "--size 128 --priority 10", (least(0.8, "tx128"),), EXTRAS),
    Case("fill", "a backlog of 100-byte messages: fill with confirms; drain", "--size 100 --confirm 1000",
         (least(0.8, "sketch", "fill"), least(0.6, "sketch", "drain")), ("relay",), "backlog", restart=True),
    Case("rpc2q", "request/reply, one at a time, two queues", "--mode rpc --size 128 --reply-to queue", (least(1.0, "sketch"),),
         measure="rpc"),
    Case("rpcdirect", "request/reply, one at a time, direct reply-to", "--mode rpc --size 128 --reply-to direct",
         (least(1.0, "rpc2q"),), EXTRAS, "rpc"),
    Case("churn", "connect, open, declare, close", "--mode churn --producers 4", (least(0.8, "sketch"),), measure="churn"),
    Case("lat5k", "latency at 5,000 messages/s, 128 B", "--size 128 --rate 5000",
         (most(1.3, "relay", "p50"), most(2, "relay", "p99")), measure="latency", repetitions=5),
    Case("lat50k", "latency at 50,000 messages/s, 128 B", "--size 128 --rate 50000",
         (most(1.3, "relay", "p50"), most(2, "relay", "p99")), measure="latency", repetitions=5),
    Case("neighbour", "a quiet pair beside a flooding one", "",
         (most(1.5, "sketch", "p50"), most(1.5, "sketch", "p99"), least(0.8, "sketch", "flood")), measure="neighbour",
         repetitions=5),
)

DURABLE = "--persistent --durable"


def disk(name, text, options, goals, repetitions=None):
    return Case(name, text, f"{options} {DURABLE}", goals, EXTRAS, "durable", "disk", repetitions)


DISK = (
    disk("dur1k", "1 KiB, confirms (window 1000), prefetch 200, multiple acks", f"--size 1024 {ACKED}",
         (least(0.7, "limit"), least(8, "rabbitmq"), most(4, "leveret", "cpu"))),
    disk("dur1k1", "1 KiB, one unconfirmed message at a time", "--size 1024 --confirm 1 --prefetch 200 --ack 50",
         (least(3, "rabbitmq"),)),
    disk("durlat", "from publish to confirm at 5,000 messages/s, 128 B", f"--size 128 --rate 5000 {ACKED}",
         (most(3, "disk", "p99"),), 5),
)

# What holds in every row of speed, beside its own goals; a goal about a figure that a case lacks says nothing of it.
EVERYWHERE = (
    most(1.4, "sketch", "cpu"),
    least(0.9, "", "keeps up"),
    *(least(1.0, "rabbitmq", figure) for figure in ("rate", "fill", "drain", "flood")),
    *(most(1.0, "rabbitmq", figure) for figure in ("p50", "p99")),
)


def memory(name, text, measure, count=1, options="", restart=True, without=("relay",)):
    return Case(name, text, options, (), without, measure, "memory", None, restart, count)


MEMORY = (
    memory("size", "the executable", "size", without=("relay", "rabbitmq")),
    memory("start", "start of the process, idle server", "start"),
    memory("mem1m", "a backlog of a million 100-byte messages", "backlog", 1_000_000, "--size 100 --confirm 1000"),
    memory("conn1k", "1,000 idle connections with one channel", "connections", 1000),
    memory("conn10k", "10,000 idle connections with one channel", "connections", 10_000),
    memory("queue", "idle queues declared one by one", "queues", 10_000),
)


@dataclass(frozen=True)
class Row:
    """A line of the table of memory: a figure of a case and its goal."""
    text: str
    case: str
    figure: str
    goal: Goal | None = None


MEMORY_ROWS = (
    Row("bytes for each queued 100-byte message, 1,000,000", "mem1m", "bytes each", most(1.5 * 100 + 64, "", "bytes each")),
    Row("bytes for each queued 100-byte message, {messages}", "fill", "bytes each", most(1.5 * 100 + 64, "", "bytes each")),
    Row("MiB that {messages} took", "fill", "MiB filled"),
    Row("MiB left of them right after the drain", "fill", "MiB drained"),
    Row("part of them left 10 s after the drain", "fill", "left", most(0.1, "", "left")),
    Row("MiB of the idle server", "start", "MiB idle", most(6, "", "MiB idle")),
    Row("KiB for each idle connection with one channel, 1,000", "conn1k", "KiB each", most(4, "", "KiB each")),
    Row("KiB for each idle connection with one channel, 10,000", "conn10k", "KiB each", most(4, "", "KiB each")),
    Row("connections opened per second, 10,000", "conn10k", "opened", least(1.0, "rabbitmq", "opened")),
    Row("KiB for each idle queue", "queue", "KiB each", most(1.5, "", "KiB each")),
    Row("queues declared one by one per second", "queue", "declared", least(50, "rabbitmq", "declared")),
    Row("ms from the start of the process to the first connection.start", "start", "ms", most(15, "", "ms")),
    Row("MiB of the stripped executable", "size", "MiB", most(10, "", "MiB")),
)


@dataclass(frozen=True)
class Growth:
    """A row of the tables of flat cost: what grows, and through which sizes; {} in the options is the
    size."""
    name: str
    text: str
    sizes: tuple
    options: str = "--size 128"
    measure: str = "load"
    unit: str = "cpu"  # the figure that is the cost
    rate: str = "rate"


CONSUMERS_OF_CHANNEL = 10_000  # no more are allowed
DEPTHS = (1, 10_000, 100_000, 1_000_000, 0)  # the last is what --messages says

FLAT = (
    Growth("queues", "queues that the messages are spread over", (1, 10, 100, 1000, 10_000, 100_000),
           "--size 128 --queues {} --consumers {channels}"),
    Growth("idlequeues", "idle queues beside the busy one", (1, 1000, 10_000, 100_000), measure="beside queues"),
    Growth("connections", "idle connections beside the busy ones", (1, 100, 1000, 10_000), measure="beside connections"),
    Growth("bindings", "topic bindings, each key used in turn", (1, 10, 100, 1000, 10_000, 100_000),
           "--size 128 --exchange-type topic --bindings {}"),
    Growth("depth", "messages that wait already: publishing with confirms", DEPTHS, "--size 100", "depth", "cpu fill", "fill"),
    Growth("depth", "messages that wait already: consuming them all", DEPTHS, "--size 100", "depth", "cpu drain", "drain"),
    Growth("prefetch", "prefetch (0: unlimited), every message acked singly", (1, 10, 100, 1000, 10_000, 65_535, 0),
           "--size 128 --prefetch {} --ack 1 --count {count}"),
    Growth("consumers", "consumers of one queue, each on its own connection", (1, 10, 100, 1000), "--size 128 --consumers {}"),
    Growth("bodies", "bytes of a body; cost per KiB", (16, 128, 1024, 16_384, 131_072, 1_048_576, 16_777_216), "--size {}",
           unit="cpu per KiB", rate="MiB/s"),
    Growth("priorities", "priorities of a queue, all in use", (1, 2, 5, 10, 50, 100, 255), "--size 128 --priority {}"),
    Growth("fanout", "bound queues of a fan-out; cost per delivery", (1, 10, 100, 1000),
           "--size 128 --exchange-type fanout --queues {} --consumers {ten}"),
)


def case_of(growth, size):
    count = min(size * 50_000, 2_000_000) or 2_000_000  # without credit for more, consumers are slow and publishers are not
    options = growth.options.format(size, ten=min(size, 10), channels=-(-size // CONSUMERS_OF_CHANNEL), count=count)
    return Case(f"{growth.name}-{size or 'all'}", f"{growth.text}: {size or 'all'}", options, (),
                ("relay", "sketch", "rabbitmq"), growth.measure, "flat", count=size)


def every_case():
    """All cases in the order of the page: name -> case."""
    flat = (case_of(growth, size) for growth in FLAT for size in growth.sizes)
    return {case.name: case for case in (*SPEED, *DISK, *MEMORY, *flat)}
