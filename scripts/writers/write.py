"""Writes files with the libraries themselves, and what those libraries read back. For `scripts/campaign writers`.

Usage: write.py FOLDER SEED SUBJECT...      subjects: torch, tensorboard, arrays, safetensors, tables

Runs inside one virtual environment and never runs samebits. FOLDER/cases.jsonl gets a line for each pair of files and the
answer that samebits must give; a line with "same" alone names a file that must be identical to all others of that name,
whichever environment wrote them.
"""

import json
import pathlib
import random
import sys


def bits(raw, parts=1):
    """The bits of one element as samebits prints them, from its little-endian bytes."""
    size = len(raw) // parts
    return " ".join(f"0x{int.from_bytes(raw[n * size : n * size + size], 'little'):0{2 * size}x}" for n in range(parts))


class Book:
    """The cases of one environment."""

    def __init__(self, folder, seed):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.random = random.Random(seed)
        self.out = open(self.folder / "cases.jsonl", "w")

    def path(self, name):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, case):
        self.out.write(json.dumps(case) + "\n")

    def same(self, what, one, other, note=None):
        """Two files that hold the same; `note`: what samebits must say of their packing."""
        self.write({"kind": "identity", "what": what, "files": [str(one), str(other)], "exit": 0, "note": note})

    def shared(self, name, path):
        """A file that other environments write too."""
        self.write({"same": name, "file": str(path)})

    def differ(self, what, one, other, found):
        """Two files that differ in exactly these tensors: name to first index, its bits on both sides, and count."""
        self.write({"kind": "truth", "what": what, "files": [str(one), str(other)], "exit": 1, "found": found})

    def close(self, what, one, other, mismatched):
        """Two files under --close: how many elements of each tensor assert_close refuses."""
        exit_code = 1 if any(mismatched.values()) else 0
        self.write({"kind": "close", "what": what, "files": [str(one), str(other)], "flags": ["--close"], "exit": exit_code, "mismatched": mismatched})

    def refused(self, what, one, other, words):
        """Files that nobody reads, and the words that must say so."""
        self.write({"kind": "refused", "what": what, "files": [str(one), str(other)], "exit": 2, "words": words})

    def noted(self, what, one, other, exit_code, words):
        """Files that are compared as bytes or as what an object saved, which must be said."""
        self.write({"kind": "noted", "what": what, "files": [str(one), str(other)], "exit": exit_code, "note": words})


def differences(left, right):
    """What differs between two readings, each a dict of name to (shape, width, parts, bytes)."""
    found = {}
    assert left.keys() == right.keys()
    for name, (_, width, parts, ours) in left.items():
        theirs = right[name][3]
        places = [at for at in range(0, len(ours), width) if ours[at : at + width] != theirs[at : at + width]]
        if places:
            at = places[0]
            pair = [bits(side[at : at + width], parts) for side in (ours, theirs)]
            found[name] = {"index": at // width, "bits": pair, "differing": len(places)}
    return found


def main():
    folder, seed, *subjects = sys.argv[1:]
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    for subject in subjects:
        module = __import__(f"of_{subject}")
        book = Book(pathlib.Path(folder) / subject, f"{seed} {subject}")
        module.write(book)
        book.out.close()
        files = sum(path.is_file() for path in book.folder.rglob("*")) - 1
        print(f"{module.VERSION}: {files} files", flush=True)


if __name__ == "__main__":
    main()
