"""A result beside the time at which it was written."""

import json
import time

with open("result.json", "w", encoding="utf-8") as file:
    json.dump({"accuracy": 0.9375, "loss": [0.5, 0.25, 0.125], "written_time": time.time()}, file)
