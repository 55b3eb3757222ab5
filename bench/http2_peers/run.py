"""One measurement in a process of its own: prints the CPU time a request and the requests a second as JSON."""

import gc
import importlib
import json
import sys
import time

import uvloop

from http2_peers.target import Client, Target, ids

_COLLECT_AFTER = 20_000
"""As in a Clarion process; the same for all clients."""


async def measure(client: Client, target: Target, count: int) -> dict[str, float]:
    await client.open(target)
    await client.send(ids(max(target.at_once, count // 10)))
    names = ids(count)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
    began, used = time.perf_counter(), time.process_time()
    well = await client.send(names)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    await client.close()
    if well != count:
        raise AssertionError(f"{well} of {count} were answered with 200")
    return {"cpu_us": cpu / count * 1e6, "per_s": count / seconds}


def main() -> None:
    """Arguments: the client, the port, the authority's file, streams, connections, requests."""
    name, port, authority, streams, connections, count = sys.argv[1:]
    client: Client = getattr(importlib.import_module(f"http2_peers.{name}_client"), f"{name.capitalize()}Client")()
    target = Target(int(port), authority, int(streams), int(connections))
    print(json.dumps(uvloop.run(measure(client, target, int(count)))))


if __name__ == "__main__":
    main()
