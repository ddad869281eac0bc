"""unpack.py WHEELS TREE PREFIX...: unpacks every wheel of the folder WHEELS into TREE.

Only members whose path starts with one of the prefixes are unpacked.  Each
wheel is deleted once it is unpacked, so that the disk need not hold both.
"""

import pathlib
import sys
import zipfile


def unpack(wheel, tree, prefixes):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.filename.startswith(prefixes) and not member.is_dir():
                path = archive.extract(member, tree)
                # zipfile drops the mode, and the full layout has programs.
                if member.external_attr >> 16 & 0o111:
                    pathlib.Path(path).chmod(0o755)


def main():
    wheels, tree, *prefixes = sys.argv[1:]
    for wheel in sorted(pathlib.Path(wheels).glob("*.whl")):
        unpack(wheel, tree, tuple(prefixes))
        wheel.unlink()


main()
