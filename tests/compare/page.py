"""Writes the page of results, tests/BENCHMARKS.md."""

from cases import DISK, FLAT, MEMORY_ROWS, SPEED, case_of
from results import OF_KIND, described, judge, verdict

SHOWN = ("rate", "fill", "drain", "flood", "p50", "p99")


def short(value):
    """A number as people say it."""
    if value < 0:
        return "-" + short(-value)
    for limit, scale, unit in ((999_500, 1e6, " M"), (9950, 1e3, " k")):
        if value >= limit:
            return f"{value / scale:.{0 if value / scale >= 99.5 else 1}f}{unit}"
    if value >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def factor(ratio):
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.2f}" if ratio >= 0.095 else f"{ratio:.2g}"


def spread(results, case, system, figure):
    """Median (least-most)."""
    values = results.values(case, system, figure).values()
    middle = short(results.median(case, system, figure))
    ends = short(min(values)), short(max(values))
    return middle if len(values) == 1 or ends[0] == ends[1] else f"{middle} ({ends[0]}–{ends[1]})"


def failures(results, case, system):
    sound, wrong = results.runs(case, system)
    return f"**{len(wrong)} of {len(wrong) + len(sound)} failed: {cell(wrong[0][:200])}**" if wrong else ""


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def speed_cell(results, case, system):
    figures = [figure for figure in SHOWN if results.values(case, system, figure)]
    parts = [("" if figure == "rate" else f"{figure} ") + spread(results, case, system, figure) for figure in figures]
    cpu = results.median(case, system, "cpu")
    if figures and cpu is not None:
        parts.append(f"{short(cpu)} us")
    return "; ".join(filter(None, [*parts, failures(results, case, system)])) or "-"


def ratios(results, case, kind, leveret="leveret"):
    """Of each figure the ratio to the systems of a kind, to the best of them if there are several."""
    said = []
    for figure in SHOWN:
        found = [results.ratio(case, leveret, case, system, figure) for system in results.systems(kind)]
        found = [ratio for ratio in found if ratio is not None]
        if found:
            worst = max(found) if figure in ("p50", "p99") else min(found)
            said.append(("" if figure == "rate" else f"{figure} ") + factor(worst))
    return "; ".join(said) or "-"


def clients(file):
    """The section at the end that `tests/compare/clients` has written into the page."""
    _, title, rest = file.read_text().partition("## Clients\n") if file.exists() else ("", "", "")
    return f"\n{title}{rest}" if title else ""


def table(head, rows):
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def ran(results, case):
    return any(results.runs(case, system) != ({}, []) for system in results.systems())


def without_disk(results):
    return [system for system in results.systems() if results.about["systems"][system]["kind"] not in ("durable", "disk")]


def disk(results):
    about, durable = results.about["systems"], "leveret-durable"
    systems = [system for system in results.systems() if about[system]["kind"] not in ("relay", "sketch")]
    kinds = [kind for kind in ("disk", "leveret", "rabbitmq") if results.systems(kind)]
    rows = ([f"`{case.name}`", case.text, *(speed_cell(results, case.name, system) for system in systems),
             *(ratios(results, case.name, kind, durable) for kind in kinds), ", ".join(map(described, case.goals)),
             verdict(results, case.name, case.goals, (), durable)] for case in DISK if ran(results, case.name))
    yield from ["## Disk", "",
                "Persistent messages through a durable queue. Messages per second; p50 and p99 from publish to confirm, in microseconds;",
                "the broker's CPU time for each message. The same Leveret in memory, and the disk alone: the KiB that it takes in a second",
                "with one sync at the end, and the time of a 4 KiB write with a sync. Ratios are of the durable Leveret to the others.", ""]
    yield from table(["case", "what", *map(results.title, systems), *(f"× {OF_KIND[kind]}" for kind in kinds), "goal", "met"], rows)


def speed(results):
    systems = without_disk(results)
    kinds = [kind for kind in ("sketch", "relay", "rabbitmq") if results.systems(kind)]
    head = ["case", "what", *map(results.title, systems), *(f"× {OF_KIND[kind]}" for kind in kinds), "goal", "met"]
    rows = ([f"`{case.name}`", case.text, *(speed_cell(results, case.name, system) for system in systems),
             *(ratios(results, case.name, kind) for kind in kinds), ", ".join(map(described, case.goals)) or "-",
             verdict(results, case.name, case.goals)] for case in SPEED if ran(results, case.name))
    yield from ["## Speed", "",
                "Messages (deliveries, round trips, connections) per second, or latency in microseconds: median (least–most); then the",
                "broker's CPU time for each, in microseconds. Ratios are of Leveret to others, taken within each repetition, then the median",
                "of those; to the better RabbitMQ. In every row Leveret's CPU time is to be at most 1.4 × the sketch's, consumers are to",
                "have at least 0.9 × what publishers send, and no RabbitMQ is to be faster, or quicker.", ""]
    yield from table(head, rows)


def text_of(row, results):
    return row.text.format(messages=f"{results.about['settings']['messages']:,}")


def memory(results):
    systems = [system for system in without_disk(results) if results.about["systems"][system]["kind"] != "relay"]
    rows = []
    for row in MEMORY_ROWS:
        if not ran(results, row.case):
            continue
        cells = [spread(results, row.case, system, row.figure) if results.values(row.case, system, row.figure)
                 else failures(results, row.case, system) or "-" for system in systems]
        goals = (row.goal,) if row.goal else ()
        rows.append([text_of(row, results), *cells,
                     described(row.goal) if row.goal else "-", verdict(results, row.case, goals, ()) or "-"])
    yield from ["## Memory and start", "",
                "Resident memory as the kernel counts it, each time of a broker that has just started (of one that ran already with",
                "`--rabbitmq`). RabbitMQ declares a tenth of the queues that the others do.", ""]
    yield from table(["what", *map(results.title, systems), "goal", "met"], rows)


def flat(results):
    rows = []
    for growth in FLAT:
        costs, rates, wrong = [], [], []
        for size in growth.sizes:
            case = case_of(growth, size).name
            label = f"{(size or results.about['settings']['messages']) if growth.name == 'depth' else size:,}"
            wrong += [f"{label}: {why}" for why in [failures(results, case, "leveret")] if why]
            costs.append((label, results.median(case, "leveret", growth.unit)))
            rates.append((label, results.median(case, "leveret", growth.rate)))
        costs_listed, rates_listed = (
            "; ".join(f"{label}: {short(value)}" for label, value in pairs if value is not None) for pairs in (costs, rates))
        if costs_listed or wrong:
            listed = "; ".join(filter(None, [costs_listed, *wrong]))
            rows.append([growth.text, listed, rates_listed, *factors([cost for _, cost in costs])])
    yield from ["## Flat cost", "",
                "What Leveret pays in microseconds of CPU time for each message (where nothing else is said) as one thing grows, and the",
                "messages per second there (MiB per second for bodies). Growth: the cost at the largest size over that at the smallest.",
                "Steepest: the most that any size costs over any smaller one.", ""]
    yield from table(["what grows", "size: cost", "size: rate", "growth", "steepest"], rows)


def factors(costs):
    if not all(costs):
        return ["-", "-"]
    steepest = max(cost / min(costs[:at]) for at, cost in enumerate(costs) if at)
    return [factor(costs[-1] / costs[0]), factor(steepest)]


def head(results):
    about, machine, settings = results.about, results.about["machine"], results.about["settings"]
    build = f", commit {about['commit']}" if about.get("commit") else ""
    yield from ["# Benchmarks", "",
                "Written by `tests/compare/brokers`, never by hand. To repeat it: `tests/compare/brokers --results DIR` with a new DIR;",
                "`--help` tells what it needs.", "",
                f"- machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory']}, Linux {machine['kernel']}; the load",
                "  generator runs on the same cores",
                f"- systems: {', '.join(results.title(system) for system in results.systems())} (Leveret's release build{build})",
                f"- when: {about['first']} to {about['last']}",
                f"- how: {about['repetitions']} repetitions of {settings['seconds']:g} s, at least five where it is about latency if there is",
                "  more than one; in each repetition every case runs on all systems in turn",
                "- the relay (`amqprelay`) only walks frames and rewrites them; the sketch (`amqpsketch`) is a broker without features. They",
                "  tell what this machine can do. Absolute figures differ twofold between machines: only the ratios mean something."]
    for name, why in about["left out"].items():
        yield f"- **left out: {name}**: {cell(why)}"
    yield ""


def page(results):
    yield from head(results)
    parts = [list(part(results)) for part in (speed, disk, memory, flat)]
    for lines in parts:
        if not lines[-1].startswith("|---"):  # a table without a row
            yield from [*lines, ""]


def shortfalls(results):
    """Every goal that is missed, in a line."""
    for case in SPEED:
        if ran(results, case.name) and (said := verdict(results, case.name, case.goals)) != "✓":
            yield f"{case.name}: {said}"
    for case in DISK:
        if ran(results, case.name) and (said := verdict(results, case.name, case.goals, (), "leveret-durable")) != "✓":
            yield f"{case.name}: {said}"
    for row in MEMORY_ROWS:
        if ran(results, row.case) and row.goal:
            yield from (f"{text_of(row, results)}: {said}" for said in judge(results, row.case, row.goal) or [] if said)
