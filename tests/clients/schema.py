"""Sends requests that schemathesis makes from the region's own OpenAPI document.

    schema.py REGION_URL API_KEY [CASES]

CASES requests (12) go to each operation; half of the path parameters are those of objects that
exist. No answer may be a server error. Exits with 1 when one was.
"""

import random
import sys
import time
import uuid

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

# What a running installation waits for, or what ends the session.
UNTOUCHED = {
    # Fetching from any URL that is made up takes as long as its time-out.
    ("POST", "/MAAS/api/2.0/boot-resources/?op=import"),
}


def authorization(key):
    consumer, token, secret = key.split(":")
    return (
        'OAuth oauth_version="1.0", oauth_signature_method="PLAINTEXT", '
        'oauth_consumer_key="%s", oauth_token="%s", oauth_signature="%%26%s", '
        'oauth_timestamp="%d", oauth_nonce="%s"'
        % (consumer, token, secret, time.time(), uuid.uuid4().hex)
    )


class Region:
    def __init__(self, url, key):
        self.url = url.rstrip("/")
        self.key = key
        self.http = requests.Session()

    def existing(self):
        """Path parameters of objects that exist."""
        found = {"system_id": [], "id": [0, 1, 2, 5001], "name": ["default"], "username": ["admin"]}
        # Not the kept connection: the server may close it after a request that it did not read.
        reply = requests.get(
            self.url + "/MAAS/api/2.0/machines/",
            headers={"Authorization": authorization(self.key)},
        )
        for machine in reply.json():
            found["system_id"].append(machine["system_id"])
            for kind in ("interface_set", "blockdevice_set"):
                found["id"] += [part["id"] for part in machine[kind]]
        return found


def main(url, key, cases="12"):
    region = Region(url, key)
    schema = schemathesis.openapi.from_url(region.url + "/MAAS/api/2.0/openapi.json")
    wrong = []
    sent = statuses = 0
    counts = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        known = region.existing()

        @seed(int(cases))
        @settings(
            max_examples=int(cases), deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet,
        )
        @given(case=operation.as_strategy())
        def attempt(case):
            nonlocal sent
            if (case.method.upper(), operation.path) in UNTOUCHED:
                return
            for name in case.path_parameters or {}:
                if known.get(name) and random.random() < 0.5:
                    case.path_parameters[name] = random.choice(known[name])
            request = case.as_transport_kwargs(
                base_url=region.url, headers={"Authorization": authorization(region.key)}
            )
            try:
                try:
                    reply = region.http.request(timeout=60, **request)
                except requests.exceptions.ConnectionError:
                    # A kept connection may be closed under the request; a new one may not.
                    request["headers"]["Authorization"] = authorization(region.key)
                    reply = requests.request(timeout=60, **request)
            except requests.exceptions.ConnectionError as error:
                wrong.append((operation.label, 0, str(error), request))
                return
            except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, ValueError):
                # Not a request that HTTP can carry.
                return
            sent += 1
            counts[reply.status_code] = counts.get(reply.status_code, 0) + 1
            if reply.status_code >= 500 and "Retry-After" not in reply.headers:
                wrong.append((operation.label, reply.status_code, reply.text[:300], request))

        attempt()
    for label, status, text, request in wrong[:20]:
        print("FAILED", label, status, text, request)
    print("%d requests, %d server errors, %s" % (sent, len(wrong), sorted(counts.items())))
    return 1 if wrong or not sent else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    random.seed(1)
    sys.exit(main(*sys.argv[1:]))
