#!/usr/bin/env python3
"""Fold of infernet/1 (docs/protocol.md, section 4) in another language than ours: all that it has of the program is the JSON of
vectors/folds.json. Prints what differs, and how many vectors were replayed."""
import json, random, sys

ORDER = ["settled", "delivered", "running", "await payment", "awarded", "failed", "no show", "unpaid"]
SETS = {"Award": "awards", "Invoice": "invoices", "Running": "runs", "Refusal": "errors", "Result": "results", "Receipt": "receipts"}


def get(m, key):
    """A field that is missing is null, 0 or empty."""
    return m.get(key) or ""


def number(m, key):
    return m.get(key) or 0


class Node:
    def __init__(self, key):
        self.key = key
        for name in SETS.values():
            setattr(self, name, [])


def promises(run):
    return run.get("Plain") or number(run, "Lease") > 0


def judge(node, deadline, now):
    def until(t, then, after):
        return then if now <= min(t, deadline) else after

    if any(r.get("Result") == x["ID"] for r in node.receipts for x in node.results):
        return "settled"
    if node.results:
        return "delivered"
    if node.errors:
        return "failed"
    if any(promises(run) for run in node.runs):
        plain = any(run.get("Plain") for run in node.runs)
        return until(deadline if plain else max(number(run, "Lease") for run in node.runs), "running", "no show")
    if node.invoices:
        return until(max(number(m, "Until") for m in node.invoices), "await payment", "unpaid")
    return until(max(number(m, "Until") for m in node.awards) if node.awards else deadline, "awarded", "no show")


def fold(request, said, now):
    to, bids, author, deadline = request.get("To") or [], request.get("Bids"), request["Author"], request["Deadline"]
    nodes, offers, cancelled = {}, [], False

    def at(key):
        return nodes.setdefault(key, Node(key))

    if len(to) == 1 and bids is None:
        at(to[0])
    once = {}
    for kind, m in said:
        if get(m, "ID") and (m["ID"] not in once or once[m["ID"]][1].get("Closed") or once[m["ID"]][0] == "Closed"):
            once[m["ID"]] = (kind, m)
    for kind, m in once.values():
        if get(m, "Job") != request["ID"]:
            continue
        if kind == "Award":
            if m["Author"] == author and bids is not None:
                at(m["Node"]).awards.append(m)
            continue
        if kind in ("Cancel", "Review"):
            cancelled = cancelled or kind == "Cancel" and m["Author"] == author
            continue
        if to and m["Author"] not in to or m["Author"] == author and not to:
            continue
        if kind == "Offer":
            offers.append(m)
        elif kind == "Result" and m["Kind"] != request["Kind"] + 1000:
            continue
        elif kind in SETS:
            getattr(at(m["Author"]), SETS[kind]).append(m)

    engaged, conflict = [], sum(bool(n.awards) for n in nodes.values()) > 1
    for n in nodes.values():
        plain = not request.get("Profile") and (n.results or any(promises(run) for run in n.runs))
        if n.awards or len(to) == 1 and bids is None and to[0] == n.key or plain:
            engaged.append((ORDER.index(judge(n, deadline, now)), min([m["ID"] for m in n.awards], default="~"), n.key))
            conflict = conflict or len({get(r, "Content") for r in n.results if not r.get("Closed")}) > 1
    best = min(engaged, default=None)
    state = ORDER[best[0]] if best else "expired" if now > deadline else "open"
    if state == "open" and any(now <= (deadline if o.get("Plain") else min(number(o, "Until"), deadline)) for o in offers):
        state = "offered"
    if cancelled and state not in ("settled", "delivered"):
        state = "cancelled"
    flags = [name for name, on in (("cancelled", cancelled), ("conflict", conflict)) if on]
    return state, best[2] if best else None, flags


def main(path):
    wrong, vectors = 0, json.load(open(path, encoding="utf-8"))
    for v in vectors:
        said = [(m["type"], m["message"]) for m in v.get("said") or []]
        for _ in range(5):
            got = fold(v["request"], said, v["now"])
            if got != (v["state"], v.get("node"), v.get("flags") or []):
                wrong += 1
                print(v["name"], "is", got)
            random.shuffle(said)
    print(len(vectors), "vectors replayed")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1]) else 0)
