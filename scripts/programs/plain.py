"""Needs nothing but Python itself."""

import sys

print("flags", sys.flags.isolated, sys.flags.no_site, sys.flags.ignore_environment)
print([number * 0.1 for number in range(10)])
sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
