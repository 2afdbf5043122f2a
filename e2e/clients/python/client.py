"""Calls xds targets by grpcio. ../README.md has the contract that all callers share."""

import json
import sys
import threading
import time

import grpc

METHOD = "/rollcall.e2e.Who/Answers"
DEADLINE_S = 3
# A google.protobuf.StringValue shorter than 128 bytes: a tag, a length, the text.
HEAD = 2


def call_for_ever(name, target, pause_s):
    channel = grpc.insecure_channel(target)
    answers = channel.unary_unary(METHOD, request_serializer=bytes, response_deserializer=bytes)
    while True:
        at = time.time()
        line = {"target": name, "at": int(at * 1000)}
        try:
            line["backend"] = answers(b"", timeout=DEADLINE_S)[HEAD:].decode()
        except grpc.RpcError as error:
            line["error"] = f"{error.code().name}: {error.details()}"
        line["took"] = int((time.time() - at) * 1000)
        print(json.dumps(line) + "\n", end="", flush=True)
        time.sleep(pause_s)


def main():
    pause_s = int(sys.argv[1]) / 1000
    threads = []
    for given in sys.argv[2:]:
        name, _, target = given.partition("=")
        threads.append(threading.Thread(target=call_for_ever, args=(name, target, pause_s), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
