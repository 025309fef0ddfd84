"""How a case is run on a system, and what its figures are.

A measure is two functions: one that runs and returns what `amqpload` and the kernel said, by name, to be kept as it is; and
one that reads figures out of that. A figure's name tells its unit where it is no message rate."""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

PROBE = 500_000  # messages published at a depth, to see what they cost there
SETTLE_S = 2
GIVEN_BACK_S = 10


def resident_kib(pid):
    """Counted page by page: what `status` says may lag behind."""
    return int(re.search(r"^Rss:\s*(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


def timed(bench):
    return f"--seconds {bench.seconds} --warmup 0.7"


# Running: each takes the bench, the case and the system at hand.

def run_load(bench, case, system):
    return {"run": bench.load(system, f"{case.options} {timed(bench)}")}


def run_durable(bench, case, system):
    return {"disk": system.limits()} if system.kind == "disk" else run_load(bench, case, system)


def run_neighbour(bench, case, system):
    flood = bench.load_begin(system, f"--seconds {bench.seconds + 2.5} --warmup 0.5 --size 16 --queue-prefix flood")
    time.sleep(1)
    quiet = bench.load(system, f"--seconds {bench.seconds + 0.5} --warmup 0.3 --size 128 --rate 1000 --queue-prefix quiet")
    return {"flood": bench.load_end(flood), "quiet": quiet}


def run_backlog(bench, case, system):
    count = case.count or bench.messages
    before = resident_kib(system.pid)
    fill = bench.load(system, f"{case.options} --consumers 0 --count {count} --keep")
    filled = resident_kib(system.pid)
    drain = bench.load(system, f"--producers 0 --count {count} --no-declare")
    drained = resident_kib(system.pid)
    time.sleep(GIVEN_BACK_S)
    memory = {"count": count, "before": before, "filled": filled, "drained": drained, "later": resident_kib(system.pid)}
    return {"fill": fill, "drain": drain, "resident_kib": memory}


def run_depth(bench, case, system):
    """The numbers of the second fill begin anew, which looks like one message out of order and is none."""
    deep, probe = case.count or bench.messages, min(PROBE, bench.messages)
    keep = f"{case.options} --confirm 1000 --consumers 0 --keep"
    found = {"deep": bench.load(system, f"{keep} --count {deep}"),
             "fill": bench.load(system, f"{keep} --count {probe} --no-declare"),
             "drain": bench.load(system, f"--producers 0 --count {deep + probe} --no-declare")}
    drain = found["drain"]
    if drain.get("fifo_violations") == 1 and drain["received"] == drain["expected"] and not drain["timed_out"]:
        drain["ok"] = True
    return found


def run_beside_queues(bench, case, system):
    declared = bench.load(system, f"--mode declare --queues {case.count} --keep --settle 0 --queue-prefix idle")
    return {"idle": declared, "run": bench.load(system, f"{case.options} {timed(bench)}")}


def run_beside_connections(bench, case, system):
    descriptors = Path(f"/proc/{system.pid}/fd")
    time.sleep(0.5)  # until the connection is gone that saw the broker start
    before = len(os.listdir(descriptors))
    crowd = bench.load_begin(system, f"--mode idle --connections {case.count} --channels 1 --hold 600")
    deadline = time.monotonic() + 60
    while len(os.listdir(descriptors)) < before + case.count and time.monotonic() < deadline and crowd.poll() is None:
        time.sleep(0.05)
    opened = len(os.listdir(descriptors)) - before
    time.sleep(1)
    run = bench.load(system, f"{case.options} {timed(bench)}")
    bench.processes.end(crowd, 0)
    return {"idle": {"ok": opened >= case.count, "error": f"{opened} connections of {case.count}"}, "run": run}


def run_connections(bench, case, system):
    return {"idle": bench.load(system, f"--mode idle --connections {case.count} --channels 1 --settle {SETTLE_S}")}


def run_queues(bench, case, system):
    """RabbitMQ declares a few hundred a second: a tenth has to do."""
    count = case.count // 10 if system.kind == "rabbitmq" else case.count
    return {"declare": bench.load(system, f"--mode declare --queues {count} --settle {SETTLE_S}")}


def run_start(bench, case, system):
    time.sleep(SETTLE_S)
    return {"start": {"ok": True, "ms": system.start_ms, "resident_kib": resident_kib(system.pid)}}


def run_size(bench, case, system):
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, system.executable], check=True)
        return {"size": {"ok": True, "bytes": os.path.getsize(stripped.name)}}


# Reading

def part(above, below):
    return above / below if below else None


def of_load(found):
    run = found["run"]
    consumed = run["consumers"] > 0
    copies = run["queues"] if run["exchange"] == "fanout" else 1
    rate, cpu = run["con_rate" if consumed else "pub_rate"], run["server_cpu_us_per_msg"]
    return {"rate": rate, "cpu": cpu, "keeps up": part(rate, run["pub_rate"] * copies) if consumed else None,
            "cpu per KiB": cpu * 1024 / run["size"], "MiB/s": rate * run["size"] / 2**20}


def of_latency(found):
    run = found["run"]
    return {"p50": run["latency"]["p50_us"], "p99": run["latency"]["p99_us"], "cpu": run["server_cpu_us_per_msg"],
            "keeps up": part(run["con_rate"], run["pub_rate"])}


def of_durable(found):
    """Of the disk: how many KiB it takes in a second, and the time of one sync."""
    if "disk" in found:
        sync = found["disk"]["overwrite_fdatasync_4k"]
        return {"rate": found["disk"]["seq_write_with_sync_mb_s"] * 1e6 / 1024, "p50": sync["p50_us"], "p99": sync["p99_us"]}
    run, confirms = found["run"], found["run"]["confirm_latency"]
    return {"rate": run["con_rate"], "cpu": run["server_cpu_us_per_msg"], "p50": confirms["p50_us"], "p99": confirms["p99_us"],
            "keeps up": part(run["con_rate"], run["pub_rate"])}


def of_rpc(found):
    return {"rate": found["run"]["round_trips_per_s"], "cpu": found["run"]["server_cpu_us_per_round_trip"]}


def of_churn(found):
    return {"rate": found["run"]["per_s"], "cpu": found["run"]["server_cpu_ms_each"] * 1000}


def of_neighbour(found):
    flood, quiet = found["flood"], found["quiet"]
    return {"flood": flood["con_rate"], "p50": quiet["latency"]["p50_us"], "p99": quiet["latency"]["p99_us"],
            "cpu": flood["server_cpu_us_per_msg"], "keeps up": part(flood["con_rate"], flood["pub_rate"])}


def of_depth(found):
    fill, drain = found["fill"], found["drain"]
    cpu_fill, cpu_drain = fill["server_cpu_us_per_msg"], drain["server_cpu_us_per_msg"]
    return {"fill": fill["total_pub_rate"], "drain": drain["total_con_rate"], "cpu": cpu_fill + cpu_drain,
            "cpu fill": cpu_fill, "cpu drain": cpu_drain}


def of_backlog(found):
    kib = found["resident_kib"]
    took = kib["filled"] - kib["before"]
    return {**of_depth(found), "bytes each": took * 1024 / kib["count"], "MiB filled": took / 1024,
            "MiB drained": (kib["drained"] - kib["before"]) / 1024, "left": part(max(0, kib["later"] - kib["before"]), took)}


def of_connections(found):
    return {"KiB each": found["idle"]["kib_per_connection"], "opened": found["idle"]["open_per_s"]}


def of_queues(found):
    return {"KiB each": found["declare"]["kib_per_queue"], "declared": found["declare"]["declare_per_s"]}


def of_start(found):
    return {"ms": found["start"]["ms"], "MiB idle": found["start"]["resident_kib"] / 1024}


def of_size(found):
    return {"MiB": found["size"]["bytes"] / 2**20}


MEASURES = {
    "load": (run_load, of_load),
    "durable": (run_durable, of_durable),
    "latency": (run_load, of_latency),
    "rpc": (run_load, of_rpc),
    "churn": (run_load, of_churn),
    "neighbour": (run_neighbour, of_neighbour),
    "backlog": (run_backlog, of_backlog),
    "depth": (run_depth, of_depth),
    "beside queues": (run_beside_queues, of_load),
    "beside connections": (run_beside_connections, of_load),
    "connections": (run_connections, of_connections),
    "queues": (run_queues, of_queues),
    "start": (run_start, of_start),
    "size": (run_size, of_size),
}


def complaint(found):
    """What went wrong in a run, if anything did."""
    wrong = [f"{name}: {said.get('error') or unsound(said)}" for name, said in found.items() if said.get("ok", True) is not True]
    return "; ".join(wrong)


def unsound(said):
    """Why amqpload itself does not call a run ok."""
    reasons = []
    if said.get("timed_out"):
        reasons.append("came to a standstill")
    if said.get("received") != said.get("expected") and said.get("consumers"):
        reasons.append(f"{said['received']} of {said['expected']} messages came")
    if said.get("seq_sum_ok") is False:
        reasons.append("lost or doubled messages")
    if said.get("fifo_violations"):
        reasons.append(f"{said['fifo_violations']} messages out of order")
    if said.get("confirm") and said.get("confirmed") != said.get("sent"):
        reasons.append(f"{said['confirmed']} of {said['sent']} publishes confirmed")
    if said.get("mismatched"):
        reasons.append(f"{said['mismatched']} wrong answers")
    return ", ".join(reasons) or "not ok"
