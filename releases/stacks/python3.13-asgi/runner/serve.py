"""Serves the application with Uvicorn.

The interpreter is the one of the application's environment, so the server's own packages are looked for last: what the
application brings itself (another Uvicorn, another h11) goes before them.
"""

import os
import sys

directory = os.environ["APP_DIRECTORY"]
sys.path[0] = directory
sys.path.append("/usr/lib/python3/dist-packages")
os.chdir(directory)

import uvicorn  # noqa: E402 - it is found only now

if __name__ == "__main__":
    # WEB_CONCURRENCY says how many processes serve; one, if it is not set, because an application may keep websockets
    # or state in memory. `docker stop` lets requests that are under way end, for at most five seconds.
    uvicorn.run(os.environ["APP_MODULE"], host="0.0.0.0", port=8080, timeout_graceful_shutdown=5)  # noqa: S104 - a container's own
