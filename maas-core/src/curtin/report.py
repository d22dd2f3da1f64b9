"""Posts one failure to the reporting webhook: report.py REPORT.json MESSAGE."""

import json
import sys
import time
import urllib.request
import uuid

with open(sys.argv[1]) as file:
    report = json.load(file)
body = {
    "name": "cmd-install",
    "origin": "curtin",
    "event_type": "finish",
    "result": "FAIL",
    "description": sys.argv[2],
    "timestamp": time.time(),
}
oauth = {
    "oauth_version": "1.0",
    "oauth_signature_method": "PLAINTEXT",
    "oauth_consumer_key": report["consumer_key"],
    "oauth_token": report["token_key"],
    "oauth_signature": "%26" + report["token_secret"],
    "oauth_nonce": uuid.uuid4().hex,
    "oauth_timestamp": str(int(time.time())),
}
header = "OAuth " + ", ".join('%s="%s"' % item for item in oauth.items())
request = urllib.request.Request(
    report["endpoint"],
    data=json.dumps(body).encode("ascii"),
    headers={"Authorization": header, "Content-Type": "application/json"},
)
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)
